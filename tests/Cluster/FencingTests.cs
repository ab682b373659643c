using System.Security.Cryptography;
using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>
/// A silo hangs during a save, and another one is started in its place: on the same machine as it should be, and where nothing but the image
/// and its journal tells of the first one, since the second one sees neither its state folder nor the runtime folder.
/// </summary>
public sealed class FencingTests
{
    private const int Failed = 1;
    private const int Busy = 7;
    private const string RuntimeFolder = "/run/distmigrate";

    [RequiresQemuFact(LabNeeds.Redis)]
    public async Task A_second_silo_of_a_host_does_not_start_while_the_first_one_hangs()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        var host = cluster.Hosts[1];
        host.Stall();
        await using (var sameFolder = cluster.Replacement(host))
        {
            sameFolder.Start();
            Assert.Equal(Busy, await sameFolder.WaitForEndAsync());
            Assert.Contains("a silo already runs with the state folder", sameFolder.Log, StringComparison.Ordinal);
        }

        await using var otherFolder = cluster.Replacement(host, "other");
        otherFolder.Start();
        Assert.Equal(Failed, await otherFolder.WaitForEndAsync());
        Assert.Contains($"another silo of host {host.Name} runs on this machine", otherFolder.Log, StringComparison.Ordinal);
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.Namespaces | LabNeeds.SelfCheckGuest)]
    public async Task A_replacement_that_knows_nothing_of_a_hung_silo_completes_its_save_once_that_has_woken_and_ended()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var guest = await ClusterUnderTest.StartGuestAsync();
        var hung = cluster.Hosts[1];
        var image = cluster.Image("a.img");
        var id = await cluster.SubmitSaveAsync(hung.Name, guest, image, "1MiB/s");
        await using var replacement = await ReplaceAsync(cluster, hung, id);
        await cluster.WaitAsync(id, status => status.GetProperty("phase").GetString() == "paused" && Reason(status) == "not-qmp", "the hung silo is in its way");

        hung.Resume();
        Assert.NotEqual(0, await hung.WaitForEndAsync());
        await cluster.CompleteAsync(id, image);
        ExpectOneImage(cluster, image);
        await guest.ContinueAsync();
        await guest.WaitForStepsAsync();
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.Namespaces | LabNeeds.SelfCheckGuest)]
    public async Task An_image_that_was_published_while_a_silo_hung_keeps_every_byte_when_that_wakes()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();

        // The hung silo holds the first monitor for as long as it lives.
        await using var guest = await ClusterUnderTest.StartGuestAsync("-qmp", "unix:second,server=on,wait=off");
        var monitor = Path.Combine(guest.Folder, "second");
        var hung = cluster.Hosts[1];
        var first = await cluster.SubmitSaveAsync(hung.Name, guest, cluster.Image("a.img"), "1MiB/s");
        await using var replacement = await ReplaceAsync(cluster, hung, first);

        // The operator gives the first one up. Its image is locked by a living process, so it stays, and its name cannot be had.
        (await cluster.RunAsync("cancel", first)).ExpectOk();
        var second = await cluster.RunAsync("save", "vm1", cluster.Image("a.img"), "--host", hung.Name, "--qmp", monitor);
        second.ExpectExit(Busy);
        Assert.Contains("is writing", second.ErrorOutput, StringComparison.Ordinal);
        var image = cluster.Image("b.img");
        (await cluster.RunAsync("save", "vm1", image, "--host", hung.Name, "--qmp", monitor)).ExpectOk();
        var published = await HashAsync(image);

        hung.Resume();
        Assert.NotEqual(0, await hung.WaitForEndAsync());
        Assert.Equal(published, await HashAsync(image));
        (await cluster.RunAsync("verify", image, "--deep")).ExpectOk();
        ExpectOneImage(cluster, image);
    }

    /// <summary>Lets the silo of a save hang while it copies, and starts another one of its host as on another machine.</summary>
    private static async Task<ClusterHost> ReplaceAsync(ClusterUnderTest cluster, ClusterHost hung, string id)
    {
        await cluster.WaitUntilCopyingAsync(id);
        hung.Stall();
        await cluster.WaitForHostsAsync("up", "down", "up");
        var replacement = cluster.Replacement(hung, "other", await cluster.PrivateMountAsync(RuntimeFolder));
        replacement.Start();
        await replacement.WaitUntilReadyAsync();
        await cluster.WaitForHostsAsync("up", "up", "up");
        return replacement;
    }

    private static string? Reason(JsonElement status) => status.GetProperty("reason").GetString();

    private static void ExpectOneImage(ClusterUnderTest cluster, string image) =>
        Assert.Equal([image], Directory.GetFiles(cluster.Images, "*.img"));

    private static async Task<string> HashAsync(string path)
    {
        await using var file = File.OpenRead(path);
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(file));
    }
}

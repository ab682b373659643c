using System.Globalization;
using System.Text.Json;
using DistMigrate.Tests.Lab;
using Xunit.Abstractions;

namespace DistMigrate.Tests.Cluster;

/// <summary>All silos are restarted, one after the other, while a save is under way.</summary>
public sealed class RollingRestartTests(ITestOutputHelper output)
{
    private const string Rate = "512KiB/s";

    /// <summary>Pages that the save writes in an fsync epoch, which lasts a second.</summary>
    private const long EpochPages = (512 << 10) / 4096;

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_save_outlives_a_rolling_restart_and_writes_at_most_one_epoch_twice()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var guest = await ClusterUnderTest.StartGuestAsync();

        // What the guest changes while it has its run state back is written again for that, and not for the restart.
        await guest.PauseAsync();
        var image = cluster.Image("a.img");
        var id = await cluster.SubmitSaveAsync("host-b", guest, image, Rate);
        var before = Normal(await cluster.WaitAsync(id, status => Normal(status) > 3 * EpochPages, "several epochs are written"));

        // The one that writes comes first: it is the one whose restart costs something, and the save must not be over by then.
        foreach (var host in cluster.Hosts.OrderBy(host => host.Name != "host-b"))
        {
            await host.TerminateAsync();
            host.Start();
            await cluster.WaitForHostsAsync("up", "up", "up");
        }

        await cluster.CompleteAsync(id, image);
        var after = Normal(await cluster.StatusAsync(id));
        var present = (await cluster.RunAsync("verify", image, "--output", "json")).ExpectOk().Json.GetProperty("pages-present").GetInt64();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{before} pages were written before, {after} after, {present} are in the image"));

        // Each silo counts what it writes itself, and the first one took what it counted in its last moment with it.
        Assert.True(before + after - present <= EpochPages, "More than one epoch was written twice.");
    }

    private static long Normal(JsonElement status) => status.GetProperty("ram").GetProperty("normal").GetInt64();
}

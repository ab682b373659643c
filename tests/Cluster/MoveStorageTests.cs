using DistMigrate.Tests.Lab;
using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.Cluster;

/// <summary>Moves through storage that each host mounts for itself, as real hosts do.</summary>
public sealed class MoveStorageTests
{
    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.Namespaces | LabNeeds.SelfCheckGuest)]
    public async Task A_target_that_sees_other_storage_under_the_same_path_is_found_out_before_the_guest_is_stopped()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var target = await RemountAsync(cluster, cluster.Hosts[1], other: null);
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1");
        var refused = await cluster.RunAsync("move", "vm1", "--to", target.Name);
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("see different storage under that path", refused.ErrorOutput, StringComparison.Ordinal);
        Assert.DoesNotContain(source.Monitor.Events, sent => sent.GetProperty("event").GetString() == "STOP");
        await source.WaitForStepsAsync();
        Assert.False(target.Launched("vm1").IsAlive);
        Assert.Empty(Directory.GetFiles(cluster.Images));
    }

    [FullGlusterFact]
    public async Task Guests_move_there_and_back_through_a_GlusterFS_that_each_host_has_mounted_for_itself()
    {
        await using var gluster = await GlusterStorage.StartAsync();
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var here = await RemountAsync(cluster, cluster.Hosts[0], gluster.Path);
        await using var there = await RemountAsync(cluster, cluster.Hosts[1], await gluster.MountAsync());
        await using var source = await here.StartGuestAsync("vm1");

        (await cluster.RunAsync("move", "vm1", "--to", there.Name)).ExpectOk();
        Assert.Equal(0, await source.WaitForExitAsync());
        await there.Launched("vm1").WaitForStepsAsync();
        (await cluster.RunAsync("move", "vm1", "--to", here.Name, "--from", there.Name, "--mode", "stopped", "--keep-image")).ExpectOk();
        await here.Launched("vm1").WaitForStepsAsync();
        Assert.False(there.Launched("vm1").IsAlive);

        // What was kept is on the volume, for everybody.
        var image = Assert.Single(Directory.GetFiles(gluster.Path, "*.img"));
        (await cluster.RunAsync("verify", image, "--deep")).ExpectOk();
    }

    /// <summary>Starts a host's silo anew where the folder of the images is another one.</summary>
    private static async Task<ClusterHost> RemountAsync(ClusterUnderTest cluster, ClusterHost host, string? other)
    {
        await host.TerminateAsync();
        var remounted = cluster.Replacement(host, host.Name + "-remounted", await cluster.PrivateMountAsync(cluster.Images, other));
        remounted.Start();
        await remounted.WaitUntilReadyAsync();
        await cluster.WaitForHostsAsync("up", "up", "up");
        return remounted;
    }
}

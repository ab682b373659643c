using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>Three hosts that find each other by Redis: who is up, what becomes of work when a silo or Redis goes.</summary>
public sealed class MembershipTests
{
    private const int Unreachable = 9;

    [RequiresQemuFact(LabNeeds.Redis)]
    public async Task A_killed_silo_is_told_as_down_and_a_restarted_one_as_up()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await cluster.Hosts[1].KillAsync();
        await cluster.WaitForHostsAsync("up", "down", "up");
        var refused = await cluster.RunAsync("save", "vm1", cluster.Image("a.img"), "--host", "host-b", "--qmp", "/run/none.sock");
        refused.ExpectExit(Unreachable);
        Assert.Contains("No silo of host host-b is in the cluster since ", refused.ErrorOutput, StringComparison.Ordinal);
        (await cluster.RunAsync("list")).ExpectOk();

        cluster.Hosts[1].Start();
        await cluster.WaitForHostsAsync("up", "up", "up");
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_save_goes_on_when_the_silos_of_both_other_hosts_are_killed_in_turn()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var guest = await ClusterUnderTest.StartGuestAsync();
        var image = cluster.Image("a.img");
        var id = await cluster.SubmitSaveAsync("host-b", guest, image, "1MiB/s");
        await cluster.WaitUntilCopyingAsync(id);

        // Its coordinator may be on either of them, or on its own host.
        foreach (var other in new[] { cluster.Hosts[0], cluster.Hosts[2] })
        {
            await other.KillAsync();
            await cluster.StatusAsync(id);
            other.Start();
            await cluster.WaitForHostsAsync("up", "up", "up");
        }

        await cluster.CompleteAsync(id, image);
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_save_whose_own_silo_is_killed_goes_on_when_that_is_started_again()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var guest = await ClusterUnderTest.StartGuestAsync();
        var image = cluster.Image("a.img");
        var id = await cluster.SubmitSaveAsync("host-b", guest, image, "1MiB/s");
        await cluster.WaitUntilCopyingAsync(id);
        await cluster.Hosts[1].KillAsync();
        await cluster.WaitForHostsAsync("up", "down", "up");
        await cluster.StatusAsync(id);
        cluster.Hosts[1].Start();
        await cluster.CompleteAsync(id, image);
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task While_Redis_is_away_a_save_writes_on_and_tells_its_status_and_then_it_completes()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var guest = await ClusterUnderTest.StartGuestAsync();
        var image = cluster.Image("a.img");
        var id = await cluster.SubmitSaveAsync("host-b", guest, image, "1MiB/s");
        await cluster.WaitUntilCopyingAsync(id);
        await cluster.Redis.KillAsync();
        var before = await cluster.NormalPagesByGatewayAsync(id);
        await Wait.UntilAsync(async () => await cluster.NormalPagesByGatewayAsync(id) > before, "pages are written without Redis", details: () => cluster.Log);
        await cluster.Redis.StartAgainAsync();
        await cluster.CompleteAsync(id, image);
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_save_completes_when_Redis_comes_back_without_what_it_was_told_last()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var guest = await ClusterUnderTest.StartGuestAsync();
        var image = cluster.Image("a.img");
        var id = await cluster.SubmitSaveAsync("host-b", guest, image, "1MiB/s");
        await cluster.WaitUntilCopyingAsync(id);
        cluster.Redis.Remember();

        // A new coordinator's token goes into the journal, and then nobody but the journal knows it.
        await cluster.KillAllAsync();
        await cluster.StartAllAsync();
        await cluster.WaitUntilTakenUpAsync(id);
        await cluster.Redis.KillAsync();
        await cluster.KillAllAsync();
        cluster.Redis.LoseWhatCameLater();
        await cluster.Redis.StartAgainAsync();
        await cluster.StartAllAsync();
        await cluster.CompleteAsync(id, image);
        Assert.Contains("came too late", cluster.Log, StringComparison.Ordinal);
    }

    [RequiresQemuFact(LabNeeds.Redis)]
    public async Task A_Redis_that_keeps_nothing_is_told_in_the_log()
    {
        await using var cluster = await ClusterUnderTest.StartAsync(isPersistent: false);
        await Wait.UntilAsync(
            () => cluster.Hosts.All(host => host.Log.Contains("is not persistent", StringComparison.Ordinal)), "every silo warns", details: () => cluster.Log);
    }
}

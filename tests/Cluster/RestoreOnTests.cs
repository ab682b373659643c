using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>An image is restored on a host that launches a QEMU for it; a host is drained.</summary>
public sealed class RestoreOnTests
{
    private const int Failed = 1;
    private const int NotFound = 6;
    private const int Busy = 7;

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task An_image_is_restored_on_another_host_in_a_QEMU_that_its_silo_launches_and_only_once()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        var image = cluster.Image("vm1.img");
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1");
        (await cluster.RunAsync("save", "vm1", image, "--host", "host-a", "--then", "quit")).ExpectOk();
        (await cluster.RunAsync("restore", image, "--on", "host-b")).ExpectOk();
        await cluster.Hosts[1].Launched("vm1").WaitForStepsAsync();

        var refused = await cluster.RunAsync("restore", image, "--on", "host-c");
        refused.ExpectExit(Busy);
        Assert.Contains("host-b", refused.ErrorOutput, StringComparison.Ordinal);
        Assert.False(cluster.Hosts[2].Launched("vm1").IsAlive);
        var restored = cluster.Hosts[1].Launched("vm1");
        await restored.WaitForStepsAsync();

        // What ends by itself leaves nothing.
        await restored.KillAsync();
        await Wait.UntilAsync(() => !restored.IsOnRecord, "the silo has cleared up", details: () => cluster.Log);
        var hosts = (await cluster.RunAsync("hosts", "--output", "json")).ExpectOk().Json.GetProperty("hosts").EnumerateArray().ToList();
        Assert.Empty(hosts[1].GetProperty("guests").EnumerateArray());
    }

    [RequiresQemuTheory(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Memfd)]
    [InlineData(MemoryKind.Private)]
    public async Task A_guest_runs_from_its_image_which_stays_as_it_is_and_can_be_saved_again(MemoryKind memory)
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        var image = cluster.Image("lazy.img");
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", memory, 48, new SelfCheckBoot { Seed = 5, UpperMiB = 40 });
        (await cluster.RunAsync("save", "vm1", image, "--host", "host-a", "--then", "quit")).ExpectOk();
        (await cluster.RunAsync("restore", image, "--on", "host-b", "--guest", "vm1", "--lazy", "--prefetch")).ExpectOk();
        var restored = cluster.Hosts[1].Launched("vm1");
        await restored.WaitForStepsAsync();
        (await cluster.RunAsync("verify", image, "--deep")).ExpectOk();
        (await cluster.RunAsync("restore", image, "--on", "host-c", "--guest", "vm1", "--lazy")).ExpectExit(Busy);

        var again = cluster.Image("again.img");
        (await cluster.RunAsync("save", "vm1", again, "--host", "host-b", "--then", "run", "--max-downtime", "5s")).ExpectOk();
        (await cluster.RunAsync("verify", again, "--deep")).ExpectOk();
        await restored.WaitForStepsAsync();
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_host_launches_from_its_definition_of_the_guest_and_shows_what_QEMU_said_when_that_ends_early()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1");
        var image = cluster.Image("vm1.img");
        (await cluster.RunAsync("save", "vm1", image, "--host", "host-a")).ExpectOk();
        var arguments = source.Arguments.Select((argument, i) => (argument, i)).ToDictionary(
            pair => $"DISTMIGRATE_Definitions__good__Arguments__{pair.i}", pair => pair.argument);
        arguments["DISTMIGRATE_Definitions__bad__Arguments__0"] = "-no-such-option";
        await using var host = cluster.Add("host-d", arguments);
        host.Start();
        await cluster.WaitForHostsAsync("up", "up", "up", "up");

        (await cluster.RunAsync("restore", cluster.Image("no.img"), "--on", "host-b")).ExpectExit(NotFound);
        var failed = await cluster.RunAsync("restore", image, "--on", "host-d", "--guest", "bad");
        failed.ExpectExit(Failed);
        Assert.Contains("-no-such-option: invalid option", failed.ErrorOutput, StringComparison.Ordinal);
        (await cluster.RunAsync("restore", image, "--on", "host-d", "--guest", "good")).ExpectOk();
        await host.Launched("good").WaitForStepsAsync();
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_host_is_drained_and_draining_it_again_finds_nothing_to_do()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var first = await cluster.Hosts[0].StartGuestAsync("vm1");
        await using var second = await cluster.Hosts[0].StartGuestAsync("vm2");
        var drained = (await cluster.RunAsync("drain", "host-a", "--output", "json")).ExpectOk().Json.GetProperty("migrations").EnumerateArray().ToList();
        Assert.Equal(2, drained.Count);
        Assert.All(drained, migration => Assert.Equal("completed", migration.GetProperty("phase").GetString()));
        Assert.True(first.HasExited && second.HasExited);

        // Each went to the host with the most memory for each guest sent there, so one to each of the two.
        foreach (var name in new[] { "vm1", "vm2" })
            await Assert.Single(cluster.Hosts, host => host.Launched(name).IsAlive).Launched(name).WaitForStepsAsync();
        Assert.NotEqual(cluster.Hosts[1].Launched("vm1").IsAlive, cluster.Hosts[1].Launched("vm2").IsAlive);
        var again = (await cluster.RunAsync("drain", "host-a", "--output", "json")).ExpectOk();
        Assert.Empty(again.Json.GetProperty("migrations").EnumerateArray());
    }
}

using System.Globalization;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>Guests that rewrite and check their memory all the time go round the hosts, live.</summary>
public sealed class LiveMoveTests
{
    private static int Seed { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("SEED"), NumberStyles.None, CultureInfo.InvariantCulture, out var given) ? given : Random.Shared.Next();

    [RequiresQemuTheory(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Memfd)]
    [InlineData(MemoryKind.Private)]
    public async Task A_guest_goes_round_the_hosts_live_and_never_complains(MemoryKind memory)
    {
        // Seven moves of each kind of memory in a full run.
        var moves = LabPrograms.IsFull ? 7 : 2;
        var random = new Random(unchecked((Seed * 31) + (int)memory));
        await using var cluster = await ClusterUnderTest.StartAsync();
        var boot = new SelfCheckBoot { AtFullSpeed = true, Seed = 9, UpperMiB = 4 + random.Next(28) };
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", memory, 40, boot);
        var at = 0;
        for (var i = 0; i < moves; i++)
        {
            var to = (at + 1 + random.Next(2)) % 3;
            var mode = random.Next(3) == 0 ? "compare" : "stream";
            var moved = (await cluster.RunAsync(
                "move", "vm1", "--from", cluster.Hosts[at].Name, "--to", cluster.Hosts[to].Name, "--mode", mode, "--policy", "must-finish", "--max-downtime", "1s",
                "--output", "json")).ExpectOk().Json;
            Assert.True(moved.GetProperty("phase").GetString() == "completed", $"SEED={Seed}, move {i}: {moved}");
            await cluster.Hosts[to].Launched("vm1").WaitForStepsAsync(3);
            at = to;
        }

        Assert.Equal(0, await source.WaitForExitAsync());
    }
}

using System.Globalization;
using DistMigrate.Tests.Lab;
using Xunit.Abstractions;

namespace DistMigrate.Tests.Cluster;

/// <summary>How soon the others know that a silo is gone. The limits are those of a busy machine; the measured times are in the output.</summary>
public sealed class DetectionTests(ITestOutputHelper output)
{
    private static readonly TimeSpan KilledLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan HungLimit = TimeSpan.FromSeconds(30);

    private static int Rounds => LabPrograms.IsFull ? 5 : 1;

    [RequiresQemuFact(LabNeeds.Redis)]
    public Task A_killed_silo_is_known_dead_soon() => MeasureAsync("killed", KilledLimit, host => host.KillAsync(), _ => Task.CompletedTask);

    [RequiresQemuFact(LabNeeds.Redis)]
    public Task A_silo_that_hangs_is_known_dead_soon_and_ends_when_it_wakes() => MeasureAsync(
        "hung",
        HungLimit,
        host =>
        {
            host.Stall();
            return Task.CompletedTask;
        },
        async host =>
        {
            host.Resume();
            Assert.NotEqual(0, await host.WaitForEndAsync());
        });

    private async Task MeasureAsync(string what, TimeSpan limit, Func<ClusterHost, Task> fell, Func<ClusterHost, Task> clear)
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        var (other, victim) = (cluster.Hosts[0], cluster.Hosts[1]);
        for (var round = 0; round < Rounds; round++)
        {
            var start = TimeProvider.System.GetUtcNow();
            await fell(victim);
            await cluster.WaitForHostsAsync("up", "down", "up");
            var known = await cluster.SinceAsync(victim, other) - start;
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{what}: known dead after {known.TotalSeconds:0.00} s"));
            Assert.InRange(known, TimeSpan.Zero, limit);
            await clear(victim);
            victim.Start();
            await cluster.WaitForHostsAsync("up", "up", "up");
        }
    }
}

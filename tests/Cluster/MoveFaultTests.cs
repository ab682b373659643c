using System.Diagnostics;
using System.Globalization;
using System.Text;
using DistMigrate.Tests.Lab;
using Xunit.Abstractions;

namespace DistMigrate.Tests.Cluster;

/// <summary>
/// Every silo is killed, every host cut off and Redis lost, in every phase of a move. With DISTMIGRATE_FULL=1 all cases, else a few. SEED of
/// the environment chooses them and the moments of the faults.
/// </summary>
public sealed class MoveFaultTests(ITestOutputHelper output)
{
    private const int FewCases = 5;

    private static readonly IReadOnlyDictionary<string, string> OneAtATime = new Dictionary<string, string> { ["DISTMIGRATE_Limits__MaxOutgoing"] = "1" };

    private static readonly MoveMark[] Late = [MoveMark.Published, MoveMark.Restoring, MoveMark.Claimed, MoveMark.RunsThere];

    private static int Seed { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("SEED"), NumberStyles.None, CultureInfo.InvariantCulture, out var given) ? given : Random.Shared.Next();

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public Task Whatever_silo_is_killed_and_whatever_Redis_loses_the_guest_runs_at_one_place()
    {
        var marks = Enum.GetValues<MoveMark>();
        var faults = new List<(MoveFault, MoveMark)>();
        foreach (var fault in new[] { MoveFault.KillsTarget, MoveFault.KillsSource, MoveFault.KillsOther, MoveFault.KillsTargetForLong, MoveFault.StopsRedis, MoveFault.LosesOfRedis })
            faults.AddRange(marks.Select(mark => (fault, mark)));
        faults.AddRange(new[] { MoveMark.Queued, MoveMark.Active, MoveMark.Claimed }.Select(mark => (MoveFault.KillsOtherForLong, mark)));
        foreach (var fault in new[] { MoveFault.KillsBoth, MoveFault.KillsAll })
            faults.AddRange(Late.Prepend(MoveMark.Active).Select(mark => (fault, mark)));

        // What takes a person is rare.
        faults.AddRange(Enumerable.Repeat((MoveFault.KillsTargetForLong, MoveMark.Claimed), 4));
        return RunAsync(faults, FewCases, network: false, salt: 41);
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.Namespaces | LabNeeds.SelfCheckGuest)]
    public Task Whatever_host_is_cut_off_the_guest_runs_at_one_place()
    {
        MoveFault[] faults = [MoveFault.CutsTarget, MoveFault.CutsSource, MoveFault.CutsOther];
        return RunAsync([.. faults.SelectMany(fault => Enum.GetValues<MoveMark>().Select(mark => (fault, mark)))], FewCases / 3, network: true, salt: 42);
    }

    private async Task RunAsync(List<(MoveFault Fault, MoveMark Mark)> faults, int few, bool network, int salt)
    {
        output.WriteLine($"SEED={Seed}");
        var random = new Random(unchecked((Seed * 31) + salt));
        var cases = faults.Select(fault => MoveCase.Of(fault.Fault, fault.Mark, random)).ToArray();
        random.Shuffle(cases);
        if (!LabPrograms.IsFull)
            cases = cases[..few];

        var table = new StringBuilder();
        var failures = new List<string>();
        ClusterUnderTest? cluster = null;
        try
        {
            for (var number = 0; number < cases.Length; number++)
            {
                cluster ??= await ClusterUnderTest.StartAsync(network: network, settings: OneAtATime);
                var start = Stopwatch.GetTimestamp();
                MoveOutcome outcome;
                try
                {
                    await using var move = await FaultedMove.PrepareAsync(cluster, cases[number], string.Create(CultureInfo.InvariantCulture, $"moved{number}"));
                    outcome = await move.RunAsync();
                }
                catch (Exception exception) when (exception is not OperationCanceledException)
                {
                    outcome = new MoveOutcome("", "FAILED", "", exception.Message.Split('\n')[0]);
                    failures.Add($"case {number}, {cases[number]}: {exception}\n{cluster.Log}");

                    // The next case is not to suffer for it.
                    await cluster.DisposeAsync();
                    cluster = null;
                }

                var row = string.Create(CultureInfo.InvariantCulture,
                    $"{number,3}  {cases[number].Fault,-18}  {cases[number].Mark,-9}  {outcome.Met,-12}  {outcome.Phase,-9}  {outcome.Host,-6}  {Stopwatch.GetElapsedTime(start).TotalSeconds,5:0.0} s  {outcome.Notes}");
                table.AppendLine(row);
                Console.WriteLine(row);
            }
        }
        finally
        {
            if (cluster is not null)
                await cluster.DisposeAsync();
        }

        output.WriteLine($"  #  fault               phase      met           outcome    runs on    time  notes\n{table}");
        Assert.True(failures.Count == 0, $"SEED={Seed}: {failures.Count} of {cases.Length} cases failed\n{string.Join("\n\n", failures)}");
    }
}

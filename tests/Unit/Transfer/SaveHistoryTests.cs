using System.Collections.Concurrent;
using System.Globalization;
using DistMigrate.Tests.Lab;
using Xunit.Abstractions;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>
/// Plays whole saves against a storage that fails, lies and forgets. <c>HISTORIES</c> says how many (default 100, 2000 with
/// <c>DISTMIGRATE_FULL=1</c>); <c>SEED</c> is the seed of the first, and every failure names its own.
/// </summary>
public sealed class SaveHistoryTests(ITestOutputHelper output)
{
    [Fact]
    public void Completed_means_that_the_durable_image_is_the_stopped_guest_and_nothing_touches_it_again_whatever_the_storage_did()
    {
        var count = FromEnvironment("HISTORIES", LabPrograms.IsFull ? 2000 : 100);
        var first = FromEnvironment("SEED", Random.Shared.Next());
        output.WriteLine($"SEED={first} HISTORIES={count}");
        var outcomes = new ConcurrentQueue<string>();

        // They wait for threads of the product more than they work.
        Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = 8 }, (i, loop) =>
        {
            var seed = unchecked(first + i) & int.MaxValue;
            using var history = new SaveHistory(seed);
            try
            {
                history.Play();
                outcomes.Enqueue(history.Outcome);
            }
            catch (Exception e)
            {
                loop.Stop();
                throw new InvalidOperationException($"SEED={seed} HISTORIES=1: {e.Message}\n{string.Join('\n', history.Events)}", e);
            }
        });
        output.WriteLine(string.Join(", ", outcomes.GroupBy(outcome => outcome).Select(some => $"{some.Count()} {some.Key}")));
    }

    private static int FromEnvironment(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : otherwise;
}

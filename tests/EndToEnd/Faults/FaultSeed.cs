using System.Globalization;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Where the tests take their random choices from.</summary>
internal static class FaultSeed
{
    /// <summary>SEED of the environment, else a random one; a test that fails names it.</summary>
    public static int Value { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("SEED"), NumberStyles.None, CultureInfo.InvariantCulture, out var given) ? given : Random.Shared.Next();

    /// <summary>A source for one test: the same seed gives the same choices, whatever ran before.</summary>
    public static Random For(int salt) => new(HashCodeOf(Value, salt));

    /// <summary>All of them with DISTMIGRATE_FULL=1, else so many, in their order.</summary>
    public static IReadOnlyList<T> Sample<T>(IReadOnlyList<T> all, int count, int salt)
    {
        if (LabPrograms.IsFull || all.Count <= count)
            return all;
        var indices = Enumerable.Range(0, all.Count).ToArray();
        For(salt).Shuffle(indices);
        return [.. indices.Take(count).Order().Select(i => all[i])];
    }

    // HashCode.Combine differs from process to process.
    private static int HashCodeOf(int seed, int salt) => unchecked((seed * 31) + salt);
}

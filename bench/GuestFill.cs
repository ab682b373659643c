using DistMigrate.Posix;

namespace DistMigrate.Bench;

/// <summary>Which parts of a guest's memory hold incompressible bytes.</summary>
/// <param name="Pieces">First MiB and number of MiB of each part, ascending.</param>
internal sealed record GuestFill(IReadOnlyList<(int First, int Count)> Pieces)
{
    private const int MiB = 1 << 20;

    /// <summary>Below this the guest's own program and its firmware live.</summary>
    public const int FirstMiB = 16;

    /// <summary>The firmware's tables lie at the end of the memory below 4 GiB, which for q35 is at most at 2 GiB.</summary>
    private const int TablesMiB = 16;

    /// <summary>Least number of MiB that no fill takes.</summary>
    public const int ReservedMiB = FirstMiB + TablesMiB;

    /// <summary>One contiguous part.</summary>
    public static GuestFill Contiguous(int usedMiB) => new([(FirstMiB, usedMiB)]);

    /// <summary>Parts of 1 MiB, evenly spread.</summary>
    public static GuestFill Scattered(int mib, int usedMiB)
    {
        var step = (mib - ReservedMiB) / usedMiB;
        return new([.. Enumerable.Range(0, usedMiB).Select(i => FirstMiB + (i * step)).Where(first => !IsOfTables(first)).Select(first => (first, 1))]);
    }

    /// <summary>Fills a guest's RAM file.</summary>
    public void WriteTo(Descriptor ram)
    {
        var random = new Random(1);
        var bytes = new byte[MiB];
        foreach (var (first, count) in Pieces)
        {
            for (var i = first; i < first + count; i++)
            {
                random.NextBytes(bytes);
                Libc.PWriteExactly(ram, bytes, (long)i * MiB);
            }
        }
    }

    private static bool IsOfTables(int first) => first is >= 2048 - TablesMiB and < 2048;
}

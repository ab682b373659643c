namespace DistMigrate.MappedRam;

/// <summary>The <em>target</em> page of QEMU: the unit of every bitmap, whatever the page size that backs a RAMBlock.</summary>
public static class Page
{
    /// <summary>Bytes in a page.</summary>
    public const int Size = 4096;

    /// <summary>log2 of <see cref="Size"/>: <c>offset &gt;&gt; Shift</c> is a page number.</summary>
    public const int Shift = 12;

    /// <summary>The number of whole pages in <paramref name="bytes"/>.</summary>
    /// <param name="bytes">A length in bytes: a multiple of <see cref="Size"/>, not negative.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="bytes"/> is negative or not whole pages.</exception>
    public static long Count(long bytes)
    {
        if (bytes < 0 || bytes % Size != 0)
        {
            throw new ArgumentOutOfRangeException(nameof(bytes), bytes, $"A length of guest memory is a multiple of {Size} bytes.");
        }

        return bytes >> Shift;
    }
}

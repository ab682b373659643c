using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>What was found in an extent's pages and written of them.</summary>
/// <param name="run">The pages.</param>
/// <param name="zeroMask">One bit per page, least significant first: set for a zero page.</param>
/// <param name="hashes">Hash of each page that is not zero; undefined for zero pages.</param>
/// <param name="writtenBytes">Bytes given to pwrite.</param>
internal readonly ref struct ExtentOutcome(PageRun run, ReadOnlySpan<ulong> zeroMask, ReadOnlySpan<UInt128> hashes, long writtenBytes)
{
    private readonly ReadOnlySpan<ulong> _zeroMask = zeroMask;

    public PageRun Run { get; } = run;

    public ReadOnlySpan<UInt128> Hashes { get; } = hashes;

    public long WrittenBytes { get; } = writtenBytes;

    public bool IsZero(int page) => (_zeroMask[page / 64] >> (page % 64) & 1) != 0;
}

using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Bench;

/// <summary>Memory whose every extent has the same content: chosen pages are zero, all others random.</summary>
internal sealed class SyntheticMemory : IGuestMemory
{
    private readonly byte[] _extent;
    private readonly PageRun[] _whole;

    public SyntheticMemory(long length, int extentPages, Func<int, bool> isZero)
    {
        Length = length;
        _whole = [new PageRun(0, length / Page.Size)];
        _extent = new byte[extentPages * Page.Size];
        new Random(1).NextBytes(_extent);
        for (var page = 0; page < extentPages; page++)
        {
            if (isZero(page))
                _extent.AsSpan(page * Page.Size, Page.Size).Clear();
        }
    }

    public GuestMemoryKind Kind => GuestMemoryKind.SharedFile;

    public bool IsNamedFile => true;

    public long Length { get; }

    public IReadOnlyList<PageRun> DataRuns() => _whole;

    public void Read(long offset, Span<byte> destination) => _extent.AsSpan((int)(offset % _extent.Length), destination.Length).CopyTo(destination);

    public void Dispose()
    {
    }
}

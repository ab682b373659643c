using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>A RAMBlock of a guest that is the test itself: pages with content, zero pages that were touched, and holes.</summary>
internal sealed class SyntheticMemory(int pages) : IGuestMemory
{
    private readonly byte[] _bytes = new byte[pages * Page.Size];
    private readonly bool[] _touched = new bool[pages];

    public GuestMemoryKind Kind => GuestMemoryKind.Memfd;

    public bool IsNamedFile => false;

    public long Length => _bytes.Length;

    public bool IsDisposed { get; private set; }

    /// <summary>Runs before each read, with the first page and the number of pages.</summary>
    public Action<long, int> BeforeRead { get; set; } = (_, _) => { };

    /// <summary>Runs before the holes are told.</summary>
    public Action BeforeDataRuns { get; set; } = () => { };

    public ReadOnlySpan<byte> this[long page] => _bytes.AsSpan((int)page * Page.Size, Page.Size);

    public bool IsZero(long page) => !this[page].ContainsAnyExcept((byte)0);

    public bool IsHole(long page) => !_touched[page];

    /// <summary>The guest fills pages with one byte; 0 makes them zero pages that are not holes.</summary>
    public void Fill(PageRun run, byte value)
    {
        _bytes.AsSpan((int)run.Offset, (int)run.Length).Fill(value);
        _touched.AsSpan((int)run.First, (int)run.Count).Fill(true);
    }

    /// <summary>The guest gives pages back, as a balloon does.</summary>
    public void Free(PageRun run)
    {
        _bytes.AsSpan((int)run.Offset, (int)run.Length).Clear();
        _touched.AsSpan((int)run.First, (int)run.Count).Clear();
    }

    public IReadOnlyList<PageRun> DataRuns()
    {
        BeforeDataRuns();
        List<PageRun> runs = [];
        for (var page = 0; page < pages; page++)
        {
            if (!_touched[page])
                continue;
            var first = page;
            while (page < pages && _touched[page])
                page++;
            runs.Add(new PageRun(first, page - first));
        }

        return runs;
    }

    public void Read(long offset, Span<byte> destination)
    {
        BeforeRead(offset / Page.Size, destination.Length / Page.Size);
        _bytes.AsSpan((int)offset, destination.Length).CopyTo(destination);
    }

    public void Dispose() => IsDisposed = true;
}

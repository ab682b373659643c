using System.Buffers.Binary;

namespace DistMigrate.MappedRam.Journal;

/// <summary>What a journal says of one RAMBlock. Memory comes with what is said: 16 bytes per page that has a hash.</summary>
public sealed class JournalBlockState
{
    private const int ChunkShift = 16;
    private const int ChunkPages = 1 << ChunkShift;

    private readonly Lazy<PageBitmap> _durable;
    private readonly Lazy<PageBitmap> _zero;
    private readonly Lazy<UInt128[]?[]> _hashes;

    internal JournalBlockState(JournalBlock block)
    {
        Name = block.Name;
        PageCount = block.Pages;
        _durable = new Lazy<PageBitmap>(() => new PageBitmap(PageCount));
        _zero = new Lazy<PageBitmap>(() => new PageBitmap(PageCount));
        _hashes = new Lazy<UInt128[]?[]>(() => new UInt128[]?[((PageCount - 1) >> ChunkShift) + 1]);
    }

    /// <summary>QEMU's <c>idstr</c>.</summary>
    public string Name { get; }

    /// <summary>How many pages it has.</summary>
    public long PageCount { get; }

    /// <summary>The pages of which it is known what the file durably holds, zero pages included.</summary>
    public PageBitmap Durable => _durable.Value;

    /// <summary>Those of them that are zero pages.</summary>
    public PageBitmap Zero => _zero.Value;

    /// <summary>What is known of a page: its <see cref="JournalEntry"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such page.</exception>
    public UInt128 this[long page] =>
        !Durable[page] ? JournalEntry.None
        : Zero[page] ? JournalEntry.Zero
        : _hashes.Value[page >> ChunkShift]![page & (ChunkPages - 1)];

    internal void SetHashes(PageRun run, ReadOnlySpan<byte> hashes)
    {
        Durable.SetRange(run);
        Zero.ClearRange(run);
        for (var page = run.First; page < run.End; page++)
        {
            var chunk = _hashes.Value[page >> ChunkShift] ??= new UInt128[Math.Min(ChunkPages, PageCount - (page & -ChunkPages))];
            chunk[page & (ChunkPages - 1)] = BinaryPrimitives.ReadUInt128LittleEndian(hashes[((int)(page - run.First) * JournalEntry.Length)..]);
        }
    }

    internal void SetZero(PageRun run)
    {
        Durable.SetRange(run);
        Zero.SetRange(run);
    }

    internal void Invalidate(PageRun run)
    {
        Durable.ClearRange(run);
        Zero.ClearRange(run);
    }
}

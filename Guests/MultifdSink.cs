using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>What all channels of a multifd stream put their pages into. The main channel tells of the RAMBlocks before any other may send pages
/// of them. Thread-safe as far as the sink behind it is.</summary>
/// <param name="sink">Takes the pages, from several threads.</param>
internal sealed class MultifdSink(IRamStreamSink sink) : IRamStreamSink
{
    private IReadOnlyList<RamBlockSpec> _blocks = [];
    private Dictionary<string, int> _indexes = [];

    /// <inheritdoc/>
    public void Begin(IReadOnlyList<RamBlockSpec> blocks)
    {
        sink.Begin(blocks);
        _blocks = [.. blocks];
        Volatile.Write(ref _indexes, Enumerable.Range(0, blocks.Count).ToDictionary(i => blocks[i].Name, StringComparer.Ordinal));
    }

    /// <inheritdoc/>
    public void Page(int block, long page, ReadOnlySpan<byte> content) => sink.Page(block, page, content);

    /// <inheritdoc/>
    public void EndOfSection() => sink.EndOfSection();

    /// <summary>The index of a RAMBlock; null when the stream's list has none of that name, or has not come.</summary>
    public int? Find(string name) => Volatile.Read(ref _indexes).TryGetValue(name, out var index) ? index : null;

    /// <summary>Takes a page at a byte offset.</summary>
    /// <returns>False when it lies outside the RAMBlock.</returns>
    public bool TryTake(int block, ulong offset, ReadOnlySpan<byte> content)
    {
        if (offset >= (ulong)_blocks[block].UsedLength)
            return false;
        sink.Page(block, (long)(offset / MappedRam.Page.Size), content);
        return true;
    }
}

using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>
/// What a precopy stream tells of the guest's RAM, in the stream's order. A record says what a page held when QEMU sent it; a write of
/// the guest that comes later brings another record (QEMU's dirty log), and the last records come when the guest stands still. A call that
/// does not return holds QEMU back: the guest runs on meanwhile. All calls come from one thread, but those of <see cref="Page"/> with multifd: each
/// channel then has one, and the order holds within a channel, and from one pass of QEMU to the next.
/// </summary>
public interface IRamStreamSink
{
    /// <summary>The stream's RAMBlocks, once, before any page.</summary>
    /// <param name="blocks">In the stream's order; a page names its block by the index in this list.</param>
    /// <exception cref="GuestException">They are not those that were expected.</exception>
    void Begin(IReadOnlyList<RamBlockSpec> blocks);

    /// <summary>A page record.</summary>
    /// <param name="block">Index of its RAMBlock.</param>
    /// <param name="page">Its number in the block.</param>
    /// <param name="content">4096 bytes, valid during the call; empty for a zero page.</param>
    void Page(int block, long page, ReadOnlySpan<byte> content);

    /// <summary>A section of pages has ended (EOS): nothing more may come for a while.</summary>
    void EndOfSection();
}

using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>
/// Feeds the RAMBlocks of an image from a snapshot of QEMU. Its pages are of one moment, and the guest goes on, so each is kept until a writer has
/// taken it. The stream is held back while the stage is full.
/// </summary>
/// <param name="session">The image.</param>
/// <param name="engines">Its RAMBlocks, with staged memory.</param>
internal sealed class SnapshotFeed(ImageSession session, IReadOnlyList<BlockEngine> engines) : IRamStreamSink
{
    private const long MostBacklog = (long)(SnapshotStage.Capacity - FedBlocks.Pace) * MappedRam.Page.Size;

    private readonly FedBlocks _fed = new(session, engines);
    private (BlockEngine Engine, StagedMemory Memory)[] _blocks = [];
    private long[] _left = [];

    /// <inheritdoc/>
    public void Begin(IReadOnlyList<RamBlockSpec> blocks)
    {
        _blocks = [.. _fed.Match(blocks).Select(engine => (engine, (StagedMemory)engine.Memory))];
        _left = [.. _blocks.Select(block => block.Engine.Layout.PageCount)];
    }

    /// <inheritdoc/>
    public void Page(int block, long page, ReadOnlySpan<byte> content)
    {
        var (engine, memory) = _blocks[block];
        _left[block]--;

        // A writer may take it at once.
        memory.Put(page, content);
        if (!engine.Announce(page, content))
            memory.Drop(page);
        if (!_fed.Count())
            return;
        while (_fed.Backlog > MostBacklog)
            _fed.ReleaseAndWait();
    }

    /// <inheritdoc/>
    public void EndOfSection() => _fed.Release();

    /// <summary>Fails unless every page has come, once.</summary>
    /// <exception cref="GuestException">DeviceState: QEMU did not send all.</exception>
    public void EnsureWhole()
    {
        for (var i = 0; i < _blocks.Length; i++)
        {
            if (_left[i] != 0 || _blocks[i].Engine.Awaited > 0)
            {
                throw new GuestException(GuestFault.DeviceState,
                    $"QEMU's snapshot lacks pages of RAMBlock {_blocks[i].Engine.Layout.Name}. Save the guest by --mode stream or compare, and please report it.");
            }
        }
    }
}

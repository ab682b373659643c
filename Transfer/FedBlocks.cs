using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>The RAMBlocks that a stream of QEMU feeds, and how it waits for their writers. QEMU waits while the stream's thread does.</summary>
/// <param name="session">The image.</param>
/// <param name="engines">Its RAMBlocks.</param>
internal sealed class FedBlocks(ImageSession session, IReadOnlyList<BlockEngine> engines)
{
    /// <summary>Pages between two looks at what waits to be written.</summary>
    public const int Pace = 256;

    private int _pages;

    /// <summary>Bytes of the pages that are to be written and may be.</summary>
    public long Backlog => engines.Sum(engine => engine.Backlog);

    /// <summary>Bytes of the pages of which the stream has not told yet.</summary>
    public long Awaited => engines.Sum(engine => engine.Awaited);

    /// <summary>The engines in the order of the stream's list.</summary>
    /// <exception cref="GuestException">Mismatch: those are not the guest's RAMBlocks as they were.</exception>
    public BlockEngine[] Match(IReadOnlyList<RamBlockSpec> blocks)
    {
        var byName = engines.ToDictionary(engine => engine.Layout.Name);
        if (blocks.Count != engines.Count || !blocks.All(block => byName.TryGetValue(block.Name, out var engine) && engine.Layout.UsedLength == block.UsedLength))
        {
            throw new GuestException(GuestFault.Mismatch,
                "A RAMBlock of the guest came, went or changed its size while the migration was set up. Save again once the guest has settled.");
        }

        return [.. blocks.Select(block => byName[block.Name])];
    }

    /// <summary>Counts a page that the stream has told of, on any thread.</summary>
    /// <returns>Whether it is time to look at what waits; the writers are awake then.</returns>
    public bool Count()
    {
        if (Interlocked.Increment(ref _pages) % Pace != 0)
            return false;
        session.Wake();
        return true;
    }

    /// <summary>Lets the writers take all of which the stream has told. Pages whose old hash stands in the journal may be written once it says
    /// that it no longer holds.</summary>
    /// <exception cref="ImageException">A block takes no pages any more, or the journal failed.</exception>
    public void Release()
    {
        foreach (var engine in engines)
            engine.EndAnnouncements();
        ThrowIfFailed();
        session.Epochs.InvalidateHeld();
        session.Wake();
    }

    /// <summary>The same, and gives them a moment.</summary>
    /// <exception cref="ImageException">A block takes no pages any more, or the journal failed.</exception>
    /// <exception cref="OperationCanceledException">The save was interrupted.</exception>
    public void ReleaseAndWait()
    {
        Release();
        session.Interrupted.WaitHandle.WaitOne(1);
        session.Interrupted.ThrowIfCancellationRequested();
    }

    private void ThrowIfFailed()
    {
        foreach (var engine in engines)
        {
            if (engine.Failure is { } failure)
                throw failure;
        }
    }
}

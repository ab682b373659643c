using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>
/// Feeds the RAMBlocks of an image from QEMU's precopy stream. The stream tells which pages are to be written; their bytes are read
/// from the guest's memory by the writers, so that none is copied on the way and a page whose write failed needs nobody to keep it.
/// It is held back while more waits to be written than may be left when the guest stops: QEMU judges by the speed at which it is read.
/// </summary>
/// <param name="session">The image.</param>
/// <param name="engines">Its RAMBlocks.</param>
/// <param name="bandwidth">Bytes per second that may be written at most; 0 for no limit.</param>
/// <param name="time">The clock.</param>
internal sealed class StreamFeed(ImageSession session, IReadOnlyList<BlockEngine> engines, long bandwidth, TimeProvider time) : IRamStreamSink
{
    /// <summary>Pages between two looks at what waits to be written.</summary>
    private const int Pace = 256;

    /// <summary>What may wait in any case, so that the writers never wait for the stream; less where their speed is limited.</summary>
    private const long LeastBacklog = 8L << 20;

    private const long LeastOfAll = 1L << 20;

    /// <summary>What QEMU keeps of its first pass while it is held: more than it would stop the guest for.</summary>
    private const long KeptWhileHeld = 32L << 20;

    /// <summary>What may wait at most, however fast the storage is.</summary>
    private const long MostBacklog = 512L << 20;

    private static readonly TimeSpan SampleTime = TimeSpan.FromMilliseconds(200);

    private BlockEngine[] _blocks = [];
    private int _pages;
    private long _limit = LeastOfAll;
    private long _sampledAt;
    private long _sampledBytes;
    private double _fastest;
    private bool _isHeld;

    /// <summary>How long the guest may stand still in the end.</summary>
    public TimeSpan Budget { get; set; }

    /// <summary>Whether the end of QEMU's first pass is held back, and with it the guest's stop: the target of a move has not caught up yet.</summary>
    public bool IsHeld
    {
        get => Volatile.Read(ref _isHeld);
        set => Volatile.Write(ref _isHeld, value);
    }

    /// <summary>The most bytes per second that the storage has shown to take.</summary>
    public double Fastest => Volatile.Read(ref _fastest);

    /// <inheritdoc/>
    public void Begin(IReadOnlyList<RamBlockSpec> blocks)
    {
        var byName = engines.ToDictionary(engine => engine.Layout.Name);
        if (blocks.Count != engines.Count || !blocks.All(block => byName.TryGetValue(block.Name, out var engine) && engine.Layout.UsedLength == block.UsedLength))
        {
            throw new GuestException(GuestFault.Mismatch,
                "A RAMBlock of the guest came, went or changed its size while the migration was set up. Save again once the guest has settled.");
        }

        _blocks = [.. blocks.Select(block => byName[block.Name])];
        _sampledAt = time.GetTimestamp();
        _sampledBytes = WrittenBytes;
        _limit = Limit(bandwidth > 0 ? bandwidth : 0);
    }

    /// <inheritdoc/>
    public void Page(int block, long page, ReadOnlySpan<byte> content)
    {
        _blocks[block].Announce(page, content);
        if (++_pages % Pace != 0)
            return;
        session.Wake();
        HoldBack();
    }

    /// <inheritdoc/>
    public void EndOfSection()
    {
        foreach (var engine in engines)
            engine.EndAnnouncements();
        ReleaseHeld();
        session.Wake();
    }

    private long WrittenBytes => engines.Sum(engine => engine.WrittenBytes);

    private long Backlog => engines.Sum(engine => engine.Backlog);

    /// <summary>Lets QEMU wait, while its guest runs, until the writers have caught up.</summary>
    private void HoldBack()
    {
        Measure();
        while (Backlog > _limit || (IsHeld && engines.Sum(engine => engine.Awaited) <= KeptWhileHeld))
        {
            foreach (var engine in engines)
                engine.EndAnnouncements();
            ReleaseHeld();
            session.Wake();
            ThrowIfFailed();
            session.Interrupted.WaitHandle.WaitOne(1);
            session.Interrupted.ThrowIfCancellationRequested();
            Measure();
        }
    }

    /// <summary>Pages whose old hash stands in the journal may be written once it says that it no longer holds.</summary>
    private void ReleaseHeld()
    {
        ThrowIfFailed();
        session.Epochs.InvalidateHeld();
    }

    private void ThrowIfFailed()
    {
        foreach (var engine in engines)
        {
            if (engine.Failure is { } failure)
                throw failure;
        }
    }

    private long Limit(double rate) =>
        (long)Math.Clamp(rate * Budget.TotalSeconds / 4, bandwidth > 0 ? LeastOfAll : LeastBacklog, MostBacklog);

    /// <summary>A quarter of what the storage has shown to take within the budget may wait.</summary>
    private void Measure()
    {
        var elapsed = time.GetElapsedTime(_sampledAt);
        if (elapsed < SampleTime)
            return;
        var written = WrittenBytes;
        Volatile.Write(ref _fastest, Math.Max(_fastest, (written - _sampledBytes) / elapsed.TotalSeconds));
        _limit = Limit(_fastest);
        _sampledAt = time.GetTimestamp();
        _sampledBytes = written;
    }
}

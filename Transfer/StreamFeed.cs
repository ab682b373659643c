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
    /// <summary>What may wait in any case, so that the writers never wait for the stream; less where their speed is limited.</summary>
    private const long LeastBacklog = 8L << 20;

    private const long LeastOfAll = 1L << 20;

    /// <summary>What QEMU keeps of its first pass while it is held: more than it would stop the guest for.</summary>
    private const long KeptWhileHeld = 32L << 20;

    /// <summary>What may wait at most, however fast the storage is.</summary>
    private const long MostBacklog = 512L << 20;

    private static readonly TimeSpan SampleTime = TimeSpan.FromMilliseconds(200);

    private readonly FedBlocks _fed = new(session, engines);
    private readonly Lock _measuring = new();
    private BlockEngine[] _blocks = [];
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
        _blocks = _fed.Match(blocks);
        _sampledAt = time.GetTimestamp();
        _sampledBytes = WrittenBytes;
        _limit = Limit(bandwidth > 0 ? bandwidth : 0);
    }

    /// <inheritdoc/>
    public void Page(int block, long page, ReadOnlySpan<byte> content)
    {
        _blocks[block].Announce(page, content);
        if (_fed.Count())
            HoldBack();
    }

    /// <inheritdoc/>
    public void EndOfSection() => _fed.Release();

    private long WrittenBytes => engines.Sum(engine => engine.WrittenBytes);

    /// <summary>Lets QEMU wait, while its guest runs, until the writers have caught up.</summary>
    private void HoldBack()
    {
        Measure();
        while (_fed.Backlog > Volatile.Read(ref _limit) || (IsHeld && _fed.Awaited <= KeptWhileHeld))
        {
            _fed.ReleaseAndWait();
            Measure();
        }
    }

    private long Limit(double rate) =>
        (long)Math.Clamp(rate * Budget.TotalSeconds / 4, bandwidth > 0 ? LeastOfAll : LeastBacklog, MostBacklog);

    /// <summary>A quarter of what the storage has shown to take within the budget may wait.</summary>
    private void Measure()
    {
        lock (_measuring)
        {
            var elapsed = time.GetElapsedTime(_sampledAt);
            if (elapsed < SampleTime)
                return;
            var written = WrittenBytes;
            Volatile.Write(ref _fastest, Math.Max(_fastest, (written - _sampledBytes) / elapsed.TotalSeconds));
            Volatile.Write(ref _limit, Limit(_fastest));
            _sampledAt = time.GetTimestamp();
            _sampledBytes = written;
        }
    }
}

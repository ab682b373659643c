using DistMigrate.Transfer.Journal;

namespace DistMigrate.Transfer;

/// <summary>
/// The partial image from its opening to an interruption or the end: its descriptors, its writer threads and its epochs. A resumed
/// attempt begins another one over the same engines; threads that are stuck in a call of the old one can do no further call.
/// </summary>
internal sealed class ImageSession : IDisposable
{
    private readonly WriterCrew _crew;
    private readonly StorageWatch _watch;
    private int _isDisposed;

    /// <summary>Begins to work on an open image.</summary>
    /// <param name="image">The image, owned from now on.</param>
    /// <param name="watch">Its watch, owned from now on.</param>
    /// <param name="journal">Its journal.</param>
    /// <param name="engines">Its RAMBlocks, by their index in the journal.</param>
    /// <param name="plan">How pages are written.</param>
    /// <param name="time">The clock.</param>
    public ImageSession(
        ImageFile image, StorageWatch watch, JournalFile journal, Func<IReadOnlyList<BlockEngine>> engines, SavePlan plan, TimeProvider time)
    {
        Image = image;
        Journal = journal;
        _watch = watch;
        _crew = new WriterCrew(image, plan.Options, plan.Migration);
        foreach (var engine in engines())
            _crew.Add(engine);
        Epochs = new FsyncEpochs(image, watch, journal, engines, plan.Options, time);
    }

    /// <summary>The image.</summary>
    public ImageFile Image { get; }

    /// <summary>Its journal, which outlives the session.</summary>
    public JournalFile Journal { get; }

    /// <summary>Its fsync epochs.</summary>
    public FsyncEpochs Epochs { get; }

    /// <summary>What is wrong with the storage now; null when nothing is.</summary>
    public StorageFault? Fault => _watch.Fault;

    /// <summary>How long a call has been under way while none came back.</summary>
    public TimeSpan Silence => _watch.Silence;

    /// <summary>Calls that have not returned, or threads that wait for one.</summary>
    public int UnderWay => _watch.UnderWay;

    /// <summary>Ends with the interruption.</summary>
    public CancellationToken Interrupted => _watch.Interrupted;

    /// <summary>Counts work on the side files as a call under way.</summary>
    public void Track(Action work) => _watch.Track(work);

    /// <summary>Tells the writers that there may be pages to take.</summary>
    public void Wake() => _crew.Wake();

    /// <summary>Changes how many bytes of pages are written per second at most; 0 for no limit.</summary>
    public void SetBandwidth(long limit) => _crew.SetBandwidth(limit);

    /// <summary>No further call to the storage begins.</summary>
    public void Refuse() => _watch.Interrupt();

    /// <summary>No further call to the storage begins; threads end as their calls return.</summary>
    /// <param name="limit">How long to wait for them.</param>
    /// <returns>Threads that are still in a call.</returns>
    public int Interrupt(TimeSpan limit)
    {
        _watch.Interrupt();
        return _crew.Stop(limit) + (Epochs.Stop(limit) ? 0 : 1);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
            return;

        // What a thread still uses that is stuck in a write goes with the write.
        if (Interrupt(TimeSpan.Zero) == 0)
            _crew.Dispose();
        Image.Dispose();
    }
}

using DistMigrate.Transfer.Journal;

namespace DistMigrate.Transfer;

/// <summary>
/// The fsync epochs of one image: all its RAMBlocks together, every description that wrote. What a good fsync covers goes to the
/// journal; after a failed one every page written since the last good one is dirty, since nobody can tell which were lost.
/// A thread closes an epoch after so many bytes or so much time.
/// </summary>
internal sealed class FsyncEpochs
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(100);

    private readonly ImageFile _image;
    private readonly StorageWatch _watch;
    private readonly JournalFile _journal;
    private readonly WriterOptions _options;
    private readonly Func<IReadOnlyList<BlockEngine>> _engines;
    private readonly TimeProvider _time;
    private readonly object _pulse = new();
    private readonly Lock _closing = new();
    private readonly Thread _thread;
    private uint _epoch;
    private long _closedAt;
    private long _closedBytes;
    private long _failingSince;
    private bool _stopping;

    /// <summary>Begins with the first epoch.</summary>
    /// <param name="image">The image.</param>
    /// <param name="watch">Its watch, which sees the calls on the journal as well.</param>
    /// <param name="journal">Its journal.</param>
    /// <param name="engines">Its RAMBlocks, by their index in the journal.</param>
    /// <param name="options">How long an epoch lasts.</param>
    /// <param name="time">The clock.</param>
    public FsyncEpochs(
        ImageFile image, StorageWatch watch, JournalFile journal, Func<IReadOnlyList<BlockEngine>> engines, WriterOptions options, TimeProvider time)
    {
        _image = image;
        _watch = watch;
        _journal = journal;
        _engines = engines;
        _options = options;
        _time = time;
        _closedAt = time.GetTimestamp();
        _thread = new Thread(Run) { IsBackground = true, Name = $"epochs of {image.Path}" };
        _thread.Start();
    }

    /// <summary>Epochs closed well so far.</summary>
    public uint Count => _epoch;

    /// <summary>Closes the epoch: what was written before the call is durable, and the journal says so, when it returns.</summary>
    /// <exception cref="ImageException">fsync of the image or of the journal failed.</exception>
    public void Close() => Locked(CloseLocked);

    /// <summary>Lets dirty pages be overwritten whose hashes stand in the journal, once that says durably that they no longer hold.</summary>
    /// <exception cref="ImageException">The journal failed.</exception>
    public void InvalidateHeld() => Locked(() =>
    {
        var engines = _engines();
        var held = engines.Select(engine => engine.HeldPages()).ToArray();
        if (held.All(runs => runs.Count == 0))
            return;
        for (var i = 0; i < held.Length; i++)
        {
            if (held[i].Count > 0)
                _journal.AppendInvalid(i, held[i]);
        }

        _watch.Journal(_journal.Flush);
        for (var i = 0; i < held.Length; i++)
            engines[i].ReleaseHeld(held[i]);
    });

    /// <summary>Makes a journal that broke, because its own storage failed, anew from what is durable.</summary>
    /// <exception cref="ImageException">The storage fails still.</exception>
    public void RepairJournal() => Locked(() =>
    {
        if (_journal.Failure is not null)
            _watch.Journal(() => _journal.Rewrite(into => Dump(into, _engines())));
    });

    /// <summary>Writes the checksums of the finished image under their temporary name.</summary>
    /// <exception cref="ImageException">The storage failed.</exception>
    public void Finish(string path, long imageLength) => Locked(() => _journal.Finish(path, imageLength, into => Dump(into, _engines())));

    /// <summary>Closes no further epoch by itself.</summary>
    /// <returns>Whether the thread has ended; one that hangs in an fsync ends when that returns.</returns>
    public bool Stop(TimeSpan limit)
    {
        lock (_pulse)
        {
            _stopping = true;
            Monitor.PulseAll(_pulse);
        }

        return _thread.Join(limit);
    }

    private void Locked(Action work)
    {
        lock (_closing)
            _watch.Track(work);
    }

    private void CloseLocked()
    {
        var engines = _engines();
        var bytes = engines.Sum(engine => engine.WrittenBytes);
        var durable = false;
        foreach (var engine in engines)
            engine.BeginEpoch();
        try
        {
            _image.FSync();
            durable = true;
        }
        finally
        {
            var recorded = engines.Select(engine => engine.EndEpoch(durable)).ToArray();
            if (durable)
                Record(engines, recorded);
        }

        _closedBytes = bytes;
        _closedAt = _time.GetTimestamp();
        _failingSince = 0;
    }

    private void Record(IReadOnlyList<BlockEngine> engines, IReadOnlyList<MappedRam.PageRun>[] recorded)
    {
        _epoch++;
        for (var i = 0; i < recorded.Length; i++)
        {
            if (recorded[i].Count > 0)
                _journal.AppendDurable(i, _epoch, recorded[i], engines[i].CopyEntries);
        }

        _watch.Journal(_journal.Flush);
        if (_journal.NeedsRewriteFor(0))
            _watch.Journal(() => _journal.Rewrite(into => Dump(into, engines)));
    }

    /// <summary>Tells a new journal everything that is durable.</summary>
    private void Dump(JournalAppender into, IReadOnlyList<BlockEngine> engines)
    {
        for (var i = 0; i < engines.Count; i++)
        {
            if (engines[i].RecordedPages() is { Count: > 0 } pages)
                into.Durable(i, _epoch, pages, engines[i].CopyEntries);
        }
    }

    private void Run()
    {
        while (!IsStopped())
        {
            try
            {
                if (IsDue())
                    Close();
            }
            catch (Exception e)
            {
                // The blocks say so; their writers stop unless another try is worth while.
                if (!MayTryAgain(e))
                {
                    foreach (var engine in _engines())
                        engine.Interrupt(e);
                }
            }
        }
    }

    /// <summary>Whether it is to stop; waits a little for that.</summary>
    private bool IsStopped()
    {
        lock (_pulse)
            return _stopping || Monitor.Wait(_pulse, Tick) && _stopping;
    }

    private bool IsDue()
    {
        var bytes = _engines().Sum(engine => engine.WrittenBytes) - _closedBytes;
        return bytes >= _options.EpochBytes || (bytes > 0 && _time.GetElapsedTime(_closedAt) >= _options.EpochTime);
    }

    private bool MayTryAgain(Exception e)
    {
        _closedAt = _time.GetTimestamp();
        if (_failingSince == 0)
            _failingSince = _closedAt;
        return e is ImageException failure && StorageWatch.IsPassing(failure) && _time.GetElapsedTime(_failingSince) < _options.MaxDowntime;
    }
}

using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Transfer;

/// <summary>Fsync epochs, and what the journal knows of the pages.</summary>
public sealed partial class BlockEngine
{
    /// <summary>Takes the pages written so far into an fsync epoch; only their writes have returned before fsync is called.</summary>
    /// <exception cref="InvalidOperationException">An epoch is under way; its pages must not count as durable before it ends.</exception>
    internal void BeginEpoch()
    {
        lock (_gate)
        {
            ThrowIfReleased();
            if (_closing is not null)
                throw new InvalidOperationException($"RAMBlock {Layout.Name} has an fsync epoch under way.");
            _closing = _written;
            _closingCount = _writtenCount;
            _written = new PageBitmap(Layout.PageCount);
            _writtenCount = 0;
        }
    }

    /// <summary>Ends the epoch: durable after a good fsync. After a failed one every page written since the last good one is
    /// dirty, since nobody can tell which of them were lost.</summary>
    /// <returns>The pages that became durable: to be recorded in the journal before <see cref="ReleaseHeld"/> is called next.</returns>
    internal IReadOnlyList<PageRun> EndEpoch(bool durable)
    {
        lock (_gate)
        {
            IReadOnlyList<PageRun> recorded = [];
            if (_released || _closing is null)
                return recorded;
            if (durable)
            {
                recorded = _closing.SetRuns(new PageRun(0, Layout.PageCount));
                _recorded.Or(_closing);
            }
            else
            {
                _written.Or(_closing);
                _failed.Or(_written);

                // Where a zero page was punched, what stood there before may stand there still.
                _onFile.Or(_written);
                _lost.Or(_inFlight);
                _dirty.Or(_written);
                _dirtyCount += _closingCount + _writtenCount;
                _zeroCount -= _written.EachSetRun(new PageRun(0, Layout.PageCount)).Sum(Zeros);
                _written.ClearAll();
                _writtenCount = 0;
                _dirtiedAgain.Or(_inFlight);
                if (_state == BlockState.Clean && _dirtyCount > 0)
                    _state = BlockState.Ready;
            }

            _closing = null;
            _closingCount = 0;
            return recorded;
        }
    }

    /// <summary>What was written since the last good fsync is not known to be there: those pages are dirty again.</summary>
    internal void LoseUnsynced()
    {
        lock (_gate)
        {
            _closing ??= new PageBitmap(Layout.PageCount);
            EndEpoch(durable: false);

            // Storage that comes back with older data may have some of these, which are not read back.
            _onFile.Or(_dirty);
            _onFile.Or(_held);
            _onFile.Or(_awaited);
        }
    }

    /// <summary>Dirty pages that wait for their hashes in the journal to be invalidated.</summary>
    internal IReadOnlyList<PageRun> HeldPages()
    {
        lock (_gate)
            return _heldCount == 0 ? [] : _held.SetRuns(new PageRun(0, _held.PageCount));
    }

    /// <summary>Lets pages be written whose hashes in the journal are durably invalid.</summary>
    internal void ReleaseHeld(IReadOnlyList<PageRun> runs)
    {
        lock (_gate)
        {
            foreach (var run in runs)
            {
                _recorded.ClearRange(run);
                foreach (var released in _held.EachSetRun(run))
                {
                    _heldCount -= _held.ClearRange(released);
                    _dirtyCount += _dirty.SetRange(released);
                }
            }
        }
    }

    /// <summary>Takes over what an earlier process made durable and recorded.</summary>
    /// <param name="run">The pages.</param>
    /// <param name="hashes">The hash of each; empty for zero pages.</param>
    internal void Adopt(PageRun run, ReadOnlySpan<UInt128> hashes)
    {
        lock (_gate)
        {
            _dirtyCount -= _dirty.ClearRange(run);
            _recorded.SetRange(run);
            _seen.SetRange(run);
            _failed.ClearRange(run);
            if (hashes.IsEmpty)
            {
                _shadow.ClearRange(run);
                _onFile.ClearRange(run);
                _zeroCount += run.Count;
                return;
            }

            _shadow.SetRange(run);
            for (var i = 0; i < run.Count; i++)
                _hashes[run.First + i] = hashes[i];
        }
    }

    /// <summary>Takes back what was adopted of pages that the earlier process was about to overwrite.</summary>
    internal void Disown(PageRun run)
    {
        lock (_gate)
        {
            _zeroCount -= _recorded.SetRuns(run).Sum(Zeros);
            _recorded.ClearRange(run);
            _shadow.ClearRange(run);
            _seen.ClearRange(run);
            _onFile.SetRange(run);
            _failed.SetRange(run);
            _dirtyCount += _dirty.SetRange(run);
        }
    }

    /// <summary>The pages whose content in the file is known: written or durable, and not dirty.</summary>
    internal PageBitmap SettledPages()
    {
        lock (_gate)
        {
            var settled = PageBitmap.AllSet(Layout.PageCount);
            foreach (var run in Unsettled())
                settled.ClearRange(run);
            return settled;
        }

        IEnumerable<PageRun> Unsettled() => new[] { _dirty, _held, _awaited, _inFlight }
            .SelectMany(pages => pages.SetRuns(new PageRun(0, Layout.PageCount)));
    }

    /// <summary>Brings in pages that the storage has lost.</summary>
    internal void MarkLost(PageRun run)
    {
        lock (_gate)
        {
            MarkDirty(run);
            _failed.SetRange(run);
            _onFile.SetRange(run);
        }
    }

    /// <summary>Every page with an entry in the journal.</summary>
    internal IReadOnlyList<PageRun> RecordedPages()
    {
        lock (_gate)
            return _recorded.SetRuns(new PageRun(0, _recorded.PageCount));
    }

    /// <summary>What the journal is to say of durable pages.</summary>
    /// <param name="run">The pages; no writer takes them meanwhile.</param>
    /// <param name="entries">Filled with one entry per page.</param>
    internal void CopyEntries(PageRun run, Span<UInt128> entries)
    {
        lock (_gate)
        {
            for (var i = 0; i < run.Count; i++)
                entries[i] = _shadow[run.First + i] ? JournalEntry.OfHash(_hashes[run.First + i]) : JournalEntry.Zero;
        }
    }
}

using System.IO.Hashing;
using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Transfer;

/// <summary>
/// The pages of one RAMBlock on their way into the image. Holds the dirty bitmap (which pages are to be written) and the shadow
/// bitmap (which pages are present in the file), and moves each page through dirty → in flight → written → durable; a page is in
/// exactly one of these, and dirty + in flight + written + durable = pages of the block at every moment. Thread-safe.
/// </summary>
public sealed class BlockEngine : IDisposable
{
    /// <summary>Zero pages between two runs that are written, or reserved, along with them: one larger write is faster than two.</summary>
    internal const int GapPages = 16;

    /// <summary>Pages of a run whose space is reserved before it is written; a call for each smaller one costs more than it gains.</summary>
    private const long ReservationPages = 256;

    private readonly Lock _gate = new();
    private readonly PageHashes _hashes;

    // Durable is what is in none of the others.
    private PageBitmap _dirty;

    // Dirty, but their hash stands in the journal: not taken before the journal says durably that it no longer holds.
    private PageBitmap _held;

    // Dirty, but not yet announced by the stream that feeds the block: not taken before, since the stream tells of every page once.
    private PageBitmap _awaited;
    private PageBitmap _inFlight;
    private PageBitmap _written;

    // Written before, and covered by the fsync that is under way.
    private PageBitmap? _closing;

    // In flight and dirtied again: dirty once the write returns, so that a page never has two writes outstanding.
    private PageBitmap _dirtiedAgain;

    private PageBitmap _shadow;

    // Pages whose place in the file may hold something else than zero.
    private PageBitmap _onFile;

    // Pages whose place is reserved but not written.
    private PageBitmap _reserved;

    // Pages whose hash, or being zero, stands in the journal.
    private PageBitmap _recorded;

    // Pages of which a write came to its end before.
    private PageBitmap _seen;

    // Dirty because a write failed or its outcome is not known, not because the guest wrote.
    private PageBitmap _failed;

    // In flight when an fsync failed: once the write has returned, nobody knows whether it is on storage.
    private PageBitmap _lost;

    private long _dirtyCount;
    private long _heldCount;
    private long _awaitedCount;
    private bool _isFed;
    private bool _isSnapshot;

    // The page that the stream announced last; a run that ends there may grow yet.
    private long _frontier = -1;
    private long _inFlightCount;
    private long _writtenCount;
    private long _closingCount;
    private long _zeroCount;
    private long _first;
    private long _redirtied;
    private long _resumed;
    private long _duplicate;
    private long _writtenBytes;
    private long _errors;
    private long _cursor;
    private int _iteration;
    private bool _scanDue;
    private bool _released;
    private long _lateWrites;
    private BlockState _state = BlockState.Ready;
    private Exception? _error;
    private TaskCompletionSource _settled = NewSignal();

    /// <summary>Sets a block up: every page dirty, none present in the file.</summary>
    /// <param name="layout">Where its pages lie in the image.</param>
    /// <param name="memory">Where they are read from; owned from now on.</param>
    /// <param name="resumed">Whether an earlier process wrote to its place in the file; what of it is durable comes by
    /// <see cref="Adopt"/>.</param>
    internal BlockEngine(RamBlockLayout layout, IGuestMemory memory, bool resumed = false)
    {
        Layout = layout;
        Memory = memory;
        var pages = layout.PageCount;
        _dirty = PageBitmap.AllSet(pages);
        _inFlight = new PageBitmap(pages);
        _written = new PageBitmap(pages);
        _dirtiedAgain = new PageBitmap(pages);
        _shadow = new PageBitmap(pages);
        _onFile = resumed ? PageBitmap.AllSet(pages) : new PageBitmap(pages);
        _failed = resumed ? PageBitmap.AllSet(pages) : new PageBitmap(pages);
        _lost = new PageBitmap(pages);
        _reserved = new PageBitmap(pages);
        _held = new PageBitmap(pages);
        _awaited = new PageBitmap(pages);
        _recorded = new PageBitmap(pages);
        _seen = new PageBitmap(pages);
        _hashes = new PageHashes(pages);
        _dirtyCount = pages;
    }

    /// <summary>Where the block lies in the image.</summary>
    public RamBlockLayout Layout { get; }

    /// <summary>Where its pages are read from.</summary>
    public IGuestMemory Memory { get; }

    /// <summary>Ends when the iteration under way has: no page is dirty or in flight, or it failed or was cancelled and the last
    /// write has returned.</summary>
    public Task Settled
    {
        get
        {
            lock (_gate)
                return _settled.Task;
        }
    }

    /// <summary>Bytes of pages given to pwrite so far.</summary>
    internal long WrittenBytes
    {
        get
        {
            lock (_gate)
                return _writtenBytes;
        }
    }

    /// <summary>Bytes of the pages that are to be written and may be.</summary>
    internal long Backlog
    {
        get
        {
            lock (_gate)
                return (_dirtyCount + _heldCount + _inFlightCount) * Page.Size;
        }
    }

    /// <summary>Why the block takes no pages any more; null while it does.</summary>
    internal Exception? Failure
    {
        get
        {
            lock (_gate)
                return _state == BlockState.Failed ? _error : null;
        }
    }

    /// <summary>Bytes of the pages of which the stream that feeds the block has not told yet.</summary>
    internal long Awaited
    {
        get
        {
            lock (_gate)
                return _awaitedCount * Page.Size;
        }
    }

    private long DirtyCount => _dirtyCount + _heldCount + _awaitedCount;

    /// <summary>The block as it is now.</summary>
    public BlockCounters Snapshot()
    {
        lock (_gate)
        {
            var dirty = DirtyCount;
            var written = _writtenCount + _closingCount;
            var durable = Layout.PageCount - dirty - _inFlightCount - written;
            return new BlockCounters(
                _state, dirty, _inFlightCount, written, durable, _zeroCount, _first, _redirtied, _resumed, _duplicate, _writtenBytes,
                _errors, _lateWrites, _iteration, _failed.CountRange(new PageRun(0, _failed.PageCount)), _error);
        }
    }

    /// <summary>
    /// Counts the pages by state along the block, which is cut into cells of equal size. Each cell is counted at one moment, and the next
    /// one a moment later, so that writers wait for one cell at most; each page lies in one cell, so the cells add up to the block.
    /// </summary>
    /// <param name="cells">Where the counts go. With more cells than pages some are empty.</param>
    /// <returns>False when the bitmaps are released: there is nothing to count any longer.</returns>
    public bool TryCount(Span<CellCounts> cells)
    {
        for (var i = 0; i < cells.Length; i++)
        {
            var first = EdgeOf(i, cells.Length);
            var run = new PageRun(first, EdgeOf(i + 1, cells.Length) - first);
            lock (_gate)
            {
                if (_released)
                    return false;
                cells[i] = CountLocked(run);
            }
        }

        return true;
    }

    /// <summary>Brings in pages that changed after they were read, or may have.</summary>
    public void MarkDirty(PageRun run)
    {
        lock (_gate)
        {
            ThrowIfReleased();
            for (var page = run.First; page < run.End; page++)
            {
                if (_inFlight[page])
                    _dirtiedAgain.Set(page);
                else if (!_dirty[page] && !_held[page] && !_awaited[page])
                    Unsettle(page);
            }

            if (_state is BlockState.Clean or BlockState.Completed && DirtyCount > 0)
                _state = BlockState.Ready;
        }
    }

    /// <summary>
    /// From here on a stream tells which pages are to be written: each once, and again when the guest has changed it. A page is not
    /// taken before the stream has told of it.
    /// </summary>
    /// <param name="isSnapshot">Whether it is told what the guest held at one moment, about which its memory of now says nothing.</param>
    internal void BeginFeed(bool isSnapshot = false)
    {
        lock (_gate)
        {
            ThrowIfReleased();
            if (_isFed)
                return;
            _isFed = true;
            _isSnapshot = isSnapshot;
            _scanDue &= !isSnapshot;
            _frontier = -1;
            _awaited.Or(_dirty);
            _awaitedCount += _dirtyCount;
            _dirty.ClearAll();
            _dirtyCount = 0;
            if (isSnapshot)
            {
                _awaited.Or(_held);
                _awaitedCount += _heldCount;
                _held.ClearAll();
                _heldCount = 0;
            }

            if (_state is not (BlockState.Clean or BlockState.Completed))
                return;

            // Its iteration ended before the stream began, which has more for it.
            _state = BlockState.Iterating;
            _cursor = 0;
            if (_settled.Task.IsCompleted)
                _settled = NewSignal();
        }
    }

    /// <summary>Takes note of what a stream tells of a page. Its content is only compared: what is written is read from the guest, where
    /// it is as new or newer, and where it was changed since, the stream will tell of it again.</summary>
    /// <param name="page">The page.</param>
    /// <param name="content">What it held when the stream told of it; empty for a zero page.</param>
    /// <returns>Whether it is to be written; false where that is what is written of it already.</returns>
    internal bool Announce(long page, ReadOnlySpan<byte> content)
    {
        lock (_gate)
        {
            ThrowIfReleased();
            _frontier = page;
            if (_awaited.Clear(page))
            {
                _awaitedCount--;
                MakeDirty(page);
            }
            else if (_inFlight[page])
            {
                _dirtiedAgain.Set(page);
            }
            else if (!_dirty[page] && !_held[page])
            {
                if (IsAsWritten(page, content))
                    return false;
                Unsettle(page);
            }

            return true;
        }
    }

    /// <summary>The stream pauses: what it told of last may be written as it is.</summary>
    internal void EndAnnouncements()
    {
        lock (_gate)
            _frontier = -1;
    }

    /// <summary>The stream has ended, well or not. Of what it did not tell, all is to be written.</summary>
    internal void EndFeed()
    {
        lock (_gate)
        {
            if (!_isFed || _released)
                return;
            _isFed = false;
            _isSnapshot = false;
            _frontier = -1;
            _dirty.Or(_awaited);
            _dirtyCount += _awaitedCount;
            _awaited.ClearAll();
            _awaitedCount = 0;
            SettleIfIdle();
        }
    }

    /// <summary>Hands the shadow bitmap over, in the file's form. No page is taken any more, unless one becomes dirty because the
    /// publication failed and the guest went on.</summary>
    /// <returns>The bitmap's bytes, and one digest over the hashes of the pages that are present.</returns>
    /// <exception cref="InvalidOperationException">A page is not durable.</exception>
    internal (byte[] Bitmap, UInt128 Digest) HandOver()
    {
        lock (_gate)
        {
            ThrowIfReleased();
            if (DirtyCount + _inFlightCount + _writtenCount + _closingCount > 0)
                throw new InvalidOperationException($"RAMBlock {Layout.Name} has pages that are not durable.");
            var bitmap = new byte[Layout.BitmapLength];
            _shadow.CopyTo(bitmap);
            var digest = _hashes.Digest(_shadow);
            _state = BlockState.Completed;
            return (bitmap, digest);
        }
    }

    /// <summary>Takes pages again after the shadow bitmap was handed over in vain.</summary>
    internal void Reopen()
    {
        lock (_gate)
        {
            ThrowIfReleased();
            if (_state == BlockState.Completed)
                _state = BlockState.Ready;
        }
    }

    /// <summary>Starts or goes on with an iteration. The same one again changes nothing; after a failure the next number tries again.</summary>
    /// <param name="iteration">Its number.</param>
    /// <param name="again">Whether a finished one of that number goes on, since pages of it were lost.</param>
    internal void BeginIteration(int iteration, bool again = false)
    {
        lock (_gate)
        {
            ThrowIfReleased();
            if (_state == BlockState.Iterating || (!again && _iteration == iteration && _state is BlockState.Clean or BlockState.Failed or BlockState.Completed))
                return;
            _iteration = iteration;
            _error = null;
            _cursor = 0;
            _scanDue = !_isSnapshot;
            _state = BlockState.Iterating;
            if (_settled.Task.IsCompleted)
                _settled = NewSignal();
        }
    }

    /// <summary>Stops handing out pages until another iteration begins; <see cref="Settled"/> ends once the writes under way have returned.</summary>
    internal void Interrupt(Exception reason)
    {
        lock (_gate)
        {
            if (_state != BlockState.Iterating)
                return;
            _state = BlockState.Failed;
            _error = reason;
            SettleIfIdle();
        }
    }

    /// <summary>Stops handing out pages for good; <see cref="Settled"/> ends once the writes under way have returned.</summary>
    public void Cancel()
    {
        lock (_gate)
        {
            if (_state is BlockState.Completed)
                return;
            _state = BlockState.Cancelled;
            SettleIfIdle();
        }
    }

    /// <summary>
    /// Takes the next contiguous dirty pages of one extent. Their dirty bits are cleared here, before anyone reads them: a write
    /// of the guest that comes later sets them again.
    /// </summary>
    /// <param name="extentPages">Pages per extent; a run never crosses a multiple of it, so that writes stay aligned to it.</param>
    /// <param name="run">The pages.</param>
    /// <returns>False when there is nothing to take now.</returns>
    internal bool TryTake(int extentPages, out PageRun run)
    {
        lock (_gate)
        {
            run = default;
            if (_state != BlockState.Iterating || _scanDue)
                return false;
            if (!TryFindWhole(_cursor, extentPages, out run) && !TryFindWhole(0, extentPages, out run))
                return false;
            _cursor = run.End;
            _dirty.ClearRange(run);
            _dirtyCount -= run.Count;
            _inFlight.SetRange(run);
            _inFlightCount += run.Count;
            return true;
        }
    }

    /// <summary>
    /// Settles the dirty pages of which the memory's owner knows that they are zero without reading them, and reserves space for
    /// the others. Done by the first writer of an iteration; the others wait for it.
    /// </summary>
    /// <returns>False when there is nothing to scan.</returns>
    internal bool TryScan(ImageFile image)
    {
        List<PageRun> scanned;
        lock (_gate)
        {
            if (_state != BlockState.Iterating || !_scanDue || _inFlightCount > 0)
                return false;
            _scanDue = false;

            // In flight while the question is asked, so that a write of the guest from here on makes the page dirty again.
            // What a stream has told of is to be read anyway.
            if (_isFed)
            {
                (_inFlight, _awaited) = (_awaited, _inFlight);
                (_inFlightCount, _awaitedCount) = (_awaitedCount, 0);
            }
            else
            {
                (_inFlight, _dirty) = (_dirty, _inFlight);
                (_inFlightCount, _dirtyCount) = (_dirtyCount, 0);
            }

            scanned = SetRuns(_inFlight, new PageRun(0, Layout.PageCount));
        }

        Exception? error = null;
        List<PageRun> holes = [];
        try
        {
            holes = Except(scanned, Memory.DataRuns());
            foreach (var hole in holes)
                ZeroOnFile(hole, image);
            foreach (var run in Reserve(Except(scanned, holes)))
                image.Allocate(Layout.PagesOffset + run.Offset, run.Length);
        }
        catch (Exception e)
        {
            // Whatever it was, nothing is known of the pages: the block says so, and the writer lives on for the other blocks.
            error = e;
            holes = [];
        }

        lock (_gate)
        {
            if (_released)
                return true;
            foreach (var hole in holes)
            {
                _shadow.ClearRange(hole);
                _onFile.ClearRange(hole);
                _duplicate += hole.Count;
                _seen.SetRange(hole);
                _failed.ClearRange(hole);
                Land(hole);
            }

            foreach (var run in scanned)
                ReturnScanned(run);
            if (error is not null)
                FailLocked(error);
            SettleIfIdle();
        }

        return true;
    }

    /// <summary>Runs of reserved pages to which nothing was written, to be given back before publication.</summary>
    internal IReadOnlyList<PageRun> UnusedReservations()
    {
        lock (_gate)
        {
            var runs = SetRuns(_reserved, new PageRun(0, _reserved.PageCount));
            _reserved.ClearAll();
            return runs;
        }
    }

    /// <summary>Makes pages that turned zero read as zero from the file, where an earlier pass may have written.</summary>
    internal void ZeroOnFile(PageRun pages, ImageFile image)
    {
        for (var from = pages.First; TryFindOnFile(from, pages.End, out var stale); from = stale.End)
            image.ZeroPages(Layout.PagesOffset + stale.Offset, stale.Length);
    }

    /// <summary>Settles an extent whose writes all returned.</summary>
    /// <param name="extent">The extent's outcome, page by page.</param>
    internal void Settle(in ExtentOutcome extent)
    {
        lock (_gate)
        {
            if (RefuseLate())
                return;
            for (var i = 0; i < extent.Run.Count; i++)
            {
                var page = extent.Run.First + i;
                if (extent.IsZero(i))
                {
                    // Between pages that were written it was written along with them.
                    if (extent.WrittenBytes > 0 && !_onFile[page])
                        _reserved.Set(page);
                    _shadow.Clear(page);
                    _onFile.Clear(page);
                    _duplicate++;
                }
                else
                {
                    _shadow.Set(page);
                    _onFile.Set(page);
                    _reserved.Clear(page);
                    _hashes[page] = extent.Hashes[i];
                    if (_failed[page])
                        _resumed++;
                    else if (_seen[page])
                        _redirtied++;
                    else
                        _first++;
                }
            }

            _seen.SetRange(extent.Run);
            _failed.ClearRange(extent.Run);

            Land(extent.Run);
            _writtenBytes += extent.WrittenBytes;
            SettleIfIdle();
        }
    }

    /// <summary>Makes an extent dirty again whose read or write failed: what of it is on storage is not known.</summary>
    internal void Fail(PageRun run, Exception error)
    {
        lock (_gate)
        {
            if (RefuseLate())
                return;
            _onFile.SetRange(run);
            _failed.SetRange(run);
            ReturnToDirty(run);
            FailLocked(error);
            SettleIfIdle();
        }
    }

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
                recorded = SetRuns(_closing, new PageRun(0, Layout.PageCount));
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
                _zeroCount -= EachSetRun(_written, new PageRun(0, Layout.PageCount)).Sum(Zeros);
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
            return _heldCount == 0 ? [] : SetRuns(_held, new PageRun(0, _held.PageCount));
    }

    /// <summary>Lets pages be written whose hashes in the journal are durably invalid.</summary>
    internal void ReleaseHeld(IReadOnlyList<PageRun> runs)
    {
        lock (_gate)
        {
            foreach (var run in runs)
            {
                _recorded.ClearRange(run);
                foreach (var released in EachSetRun(_held, run))
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
            _zeroCount -= SetRuns(_recorded, run).Sum(Zeros);
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
            .SelectMany(pages => SetRuns(pages, new PageRun(0, Layout.PageCount)));
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

    /// <summary>Finds the pages whose content differs from what was written of them.</summary>
    /// <param name="run">Settled pages.</param>
    /// <param name="content">Their content elsewhere; empty when it is known to be zero.</param>
    internal IReadOnlyList<PageRun> FindChanged(PageRun run, ReadOnlySpan<byte> content)
    {
        List<PageRun> changed = [];
        for (var i = 0; i < run.Count; i++)
        {
            var page = run.First + i;
            var bytes = content.IsEmpty ? content : content.Slice(i * Page.Size, Page.Size);
            if (IsAsWritten(page, bytes))
                continue;
            if (changed.Count > 0 && changed[^1].End == page)
                changed[^1] = changed[^1] with { Count = changed[^1].Count + 1 };
            else
                changed.Add(new PageRun(page, 1));
        }

        return changed;
    }

    /// <summary>Every page with an entry in the journal.</summary>
    internal IReadOnlyList<PageRun> RecordedPages()
    {
        lock (_gate)
            return SetRuns(_recorded, new PageRun(0, _recorded.PageCount));
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

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_state != BlockState.Completed)
                _state = BlockState.Cancelled;
            ReleaseBitmaps();
            _settled.TrySetResult();
        }

        Memory.Dispose();
    }

    /// <summary>The first page of a cell.</summary>
    private long EdgeOf(int cell, int cells) => (long)((Int128)Layout.PageCount * cell / cells);

    private CellCounts CountLocked(PageRun run)
    {
        var dirty = _dirty.CountRange(run) + _held.CountRange(run) + _awaited.CountRange(run);
        var inFlight = _inFlight.CountRange(run);
        var written = _written.CountRange(run) + (_closing?.CountRange(run) ?? 0);
        var present = _shadow.CountRange(run, _dirty, _held, _awaited, _inFlight);
        return new CellCounts(dirty, inFlight, written, run.Count - dirty - inFlight - written, run.Count - dirty - inFlight - present);
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The parts of <paramref name="runs"/> that are in none of <paramref name="other"/>; both ascend.</summary>
    private static List<PageRun> Except(List<PageRun> runs, IReadOnlyList<PageRun> other)
    {
        List<PageRun> rest = [];
        var next = 0;
        foreach (var run in runs)
        {
            var from = run.First;
            while (next < other.Count && other[next].End <= from)
                next++;
            for (var i = next; from < run.End; i++)
            {
                var end = i < other.Count ? Math.Min(other[i].First, run.End) : run.End;
                if (end > from)
                    rest.Add(new PageRun(from, end - from));
                if (i >= other.Count || other[i].First >= run.End)
                    break;
                from = other[i].End;
            }
        }

        return rest;
    }

    /// <summary>The runs of set bits within a range.</summary>
    private static List<PageRun> SetRuns(PageBitmap bitmap, PageRun range) => [.. EachSetRun(bitmap, range)];

    /// <summary>The runs of set bits, one after the other; those that were handed out may be cleared meanwhile.</summary>
    private static IEnumerable<PageRun> EachSetRun(PageBitmap bitmap, PageRun range)
    {
        // As many as are left, as in TryFindRun.
        var left = bitmap.CountRange(range);
        for (var from = range.First; left > 0 && bitmap.TryFindSetRun(from, left, out var run); left -= run.Count)
        {
            from = run.End;
            yield return run;
        }
    }

    /// <summary>The first run of set bits between two pages. Allocates nothing, for the copy loop.</summary>
    private static bool TryFindRun(PageBitmap bitmap, long from, long end, out PageRun run)
    {
        // As many as are there: so the run never goes on, and the search never looks, behind the end.
        var count = bitmap.CountRange(new PageRun(from, end - from));
        run = default;
        return count > 0 && bitmap.TryFindSetRun(from, count, out run);
    }

    private bool TryFindOnFile(long from, long end, out PageRun run)
    {
        lock (_gate)
        {
            run = default;
            return !_released && TryFindRun(_onFile, from, end, out run);
        }
    }

    /// <summary>The runs to reserve space for, noted as reserved.</summary>
    private List<PageRun> Reserve(List<PageRun> runs)
    {
        List<PageRun> large = [];
        foreach (var run in runs)
        {
            if (large.Count > 0 && run.First - large[^1].End <= GapPages)
                large[^1] = large[^1] with { Count = run.End - large[^1].First };
            else
                large.Add(run);
        }

        large.RemoveAll(run => run.Count < ReservationPages);
        lock (_gate)
        {
            foreach (var run in large)
            {
                _reserved.SetRange(run);

                // What may have been written before is not ours to give back.
                foreach (var written in EachSetRun(_onFile, run))
                    _reserved.ClearRange(written);
            }
        }

        return large;
    }

    private bool IsAsWritten(long page, ReadOnlySpan<byte> content)
    {
        var isZero = content.IsEmpty || !content.ContainsAnyExcept((byte)0);
        return isZero ? !_shadow[page] : _shadow[page] && _hashes[page] == XxHash128.HashToUInt128(content);
    }

    /// <summary>In flight → written, or dirty where the guest wrote meanwhile.</summary>
    private void Land(PageRun run)
    {
        _inFlightCount -= _inFlight.ClearRange(run);
        _writtenCount += _written.SetRange(run);
        _zeroCount += Zeros(run);
        for (var from = run.First; TryFindRun(_lost, from, run.End, out var lost); from = lost.End)
        {
            _lost.ClearRange(lost);
            _failed.SetRange(lost);
            _onFile.SetRange(lost);
        }

        for (var from = run.First; TryFindRun(_dirtiedAgain, from, run.End, out var again); from = again.End)
        {
            _dirtiedAgain.ClearRange(again);
            _writtenCount -= _written.ClearRange(again);
            _zeroCount -= Zeros(again);
            _dirtyCount += _dirty.SetRange(again);
        }
    }

    private long Zeros(PageRun run) => run.Count - _shadow.CountRange(run);

    /// <summary>In flight → dirty, for those of the run that are in flight.</summary>
    private void ReturnToDirty(PageRun run)
    {
        foreach (var pages in EachSetRun(_inFlight, run))
        {
            _inFlightCount -= _inFlight.ClearRange(pages);
            _dirtiedAgain.ClearRange(pages);
            _lost.ClearRange(pages);
            _dirtyCount += _dirty.SetRange(pages);
        }
    }

    /// <summary>In flight → awaited where a stream feeds the block and has not told of the page meanwhile, else dirty.</summary>
    private void ReturnScanned(PageRun run)
    {
        if (!_isFed)
        {
            ReturnToDirty(run);
            return;
        }

        foreach (var pages in EachSetRun(_inFlight, run))
        {
            _inFlightCount -= _inFlight.ClearRange(pages);
            _lost.ClearRange(pages);
            _awaitedCount += _awaited.SetRange(pages);
            for (var from = pages.First; TryFindRun(_dirtiedAgain, from, pages.End, out var told); from = told.End)
            {
                _dirtiedAgain.ClearRange(told);
                _awaitedCount -= _awaited.ClearRange(told);
                _dirtyCount += _dirty.SetRange(told);
            }
        }
    }

    /// <summary>Written or durable → dirty, or held where the journal vouches for it.</summary>
    private void Unsettle(long page)
    {
        MakeDirty(page);
        _zeroCount -= _shadow[page] ? 0 : 1;
        if (_written.Clear(page))
            _writtenCount--;
        else if (_closing?.Clear(page) == true)
            _closingCount--;
    }

    /// <summary>Dirty, or held where the journal vouches for the page.</summary>
    private void MakeDirty(long page)
    {
        if (_recorded[page])
            _heldCount += _held.Set(page) ? 1 : 0;
        else
            _dirtyCount += _dirty.Set(page) ? 1 : 0;
    }

    /// <summary>The next dirty run within one extent; not one at the end of which the stream goes on telling.</summary>
    private bool TryFindWhole(long from, int extentPages, out PageRun run)
    {
        for (; _dirty.TryFindSetRun(from, extentPages, out run); from = run.End)
        {
            run = run with { Count = Math.Min(run.Count, extentPages - (run.First % extentPages)) };
            if (run.End != _frontier + 1 || run.End % extentPages == 0)
                return true;
        }

        return false;
    }

    /// <summary>A write that returns after the bitmaps were handed over or given up is counted and changes nothing.</summary>
    private bool RefuseLate()
    {
        if (!_released && _state != BlockState.Completed)
            return false;
        _lateWrites++;
        return true;
    }

    private void FailLocked(Exception error)
    {
        _errors++;
        if (_state == BlockState.Iterating)
        {
            _error = error;
            _state = BlockState.Failed;
        }
    }

    private void SettleIfIdle()
    {
        if (_inFlightCount > 0)
            return;
        if (_state == BlockState.Iterating && DirtyCount == 0 && !_scanDue && !_isFed)
            _state = BlockState.Clean;
        if (_state is BlockState.Clean or BlockState.Failed or BlockState.Cancelled)
            _settled.TrySetResult();
    }

    private void ThrowIfReleased()
    {
        if (_released || _state == BlockState.Cancelled)
            throw new InvalidOperationException($"RAMBlock {Layout.Name} is {_state}; a late command or page is refused.");
    }

    private void ReleaseBitmaps()
    {
        _released = true;
        _hashes.Dispose();
        _dirty = _held = _awaited = _inFlight = _written = _dirtiedAgain = _shadow = _onFile = _reserved = _recorded = _seen = _failed = _lost = new PageBitmap(0);
        _closing = null;
    }
}

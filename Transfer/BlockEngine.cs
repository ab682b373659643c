using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>
/// The pages of one RAMBlock on their way into the image. Holds the dirty bitmap (which pages are to be written) and the shadow
/// bitmap (which pages are present in the file), and moves each page through dirty → in flight → written → durable; a page is in
/// exactly one of these, and dirty + in flight + written + durable = pages of the block at every moment. Thread-safe.
/// </summary>
public sealed class BlockEngine : IDisposable
{
    /// <summary>Pages whose space is reserved by one call: 64 MiB. One call per extent costs more than it gains.</summary>
    private const long ReservationPages = 16384;

    /// <summary>Zero pages between two runs that are written, or reserved, along with them: one larger write is faster than two.</summary>
    internal const int GapPages = 16;

    private readonly Lock _gate = new();
    private readonly PageHashes _hashes;

    // Durable is what is in none of the other three.
    private PageBitmap _dirty;
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

    // Chunks of which the dirty pages' places were reserved in this iteration.
    private readonly PageBitmap _reservedChunks;

    private long _dirtyCount;
    private long _inFlightCount;
    private long _writtenCount;
    private long _closingCount;
    private long _zeroCount;
    private long _normal;
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
    internal BlockEngine(RamBlockLayout layout, IGuestMemory memory)
    {
        Layout = layout;
        Memory = memory;
        var pages = layout.PageCount;
        _dirty = PageBitmap.AllSet(pages);
        _inFlight = new PageBitmap(pages);
        _written = new PageBitmap(pages);
        _dirtiedAgain = new PageBitmap(pages);
        _shadow = new PageBitmap(pages);
        _onFile = new PageBitmap(pages);
        _reserved = new PageBitmap(pages);
        _reservedChunks = new PageBitmap(((pages - 1) / ReservationPages) + 1);
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

    /// <summary>The block as it is now.</summary>
    public BlockCounters Snapshot()
    {
        lock (_gate)
        {
            var written = _writtenCount + _closingCount;
            var durable = Layout.PageCount - _dirtyCount - _inFlightCount - written;
            return new BlockCounters(
                _state, _dirtyCount, _inFlightCount, written, durable, _zeroCount, _normal, _duplicate, _writtenBytes,
                _errors, _lateWrites, _iteration, _error);
        }
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
                {
                    _dirtiedAgain.Set(page);
                    continue;
                }

                if (!_dirty.Set(page))
                    continue;
                _dirtyCount++;
                _zeroCount -= _shadow[page] ? 0 : 1;
                if (_written.Clear(page))
                    _writtenCount--;
                else if (_closing?.Clear(page) == true)
                    _closingCount--;
            }

            if (_state == BlockState.Clean && _dirtyCount > 0)
                _state = BlockState.Ready;
        }
    }

    /// <summary>Hands the shadow bitmap over, in the file's form, and releases the memory of both bitmaps.</summary>
    /// <returns>The bitmap's bytes, and one digest over the hashes of the pages that are present.</returns>
    /// <exception cref="InvalidOperationException">A page is not durable, or the bitmap was handed over before.</exception>
    internal (byte[] Bitmap, UInt128 Digest) HandOver()
    {
        lock (_gate)
        {
            ThrowIfReleased();
            if (_dirtyCount + _inFlightCount + _writtenCount + _closingCount > 0)
                throw new InvalidOperationException($"RAMBlock {Layout.Name} has pages that are not durable.");
            var bitmap = new byte[Layout.BitmapLength];
            _shadow.CopyTo(bitmap);
            var digest = _hashes.Digest(_shadow);
            _state = BlockState.Completed;
            ReleaseBitmaps();
            return (bitmap, digest);
        }
    }

    /// <summary>Starts or goes on with an iteration. The same one again changes nothing; after a failure the next number tries again.</summary>
    internal void BeginIteration(int iteration)
    {
        lock (_gate)
        {
            ThrowIfReleased();
            if (_state == BlockState.Iterating || (_iteration == iteration && _state is BlockState.Clean or BlockState.Failed))
                return;
            _iteration = iteration;
            _error = null;
            _cursor = 0;
            _scanDue = true;
            _reservedChunks.ClearAll();
            _state = BlockState.Iterating;
            if (_settled.Task.IsCompleted)
                _settled = NewSignal();
        }
    }

    /// <summary>Stops handing out pages; <see cref="Settled"/> ends once the writes under way have returned.</summary>
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
    /// <param name="reserve">Runs whose space the caller reserves before it writes; null when that was done for this part of the block.</param>
    /// <returns>False when there is nothing to take now.</returns>
    internal bool TryTake(int extentPages, out PageRun run, out IReadOnlyList<PageRun>? reserve)
    {
        lock (_gate)
        {
            run = default;
            reserve = null;
            if (_state != BlockState.Iterating || _scanDue)
                return false;
            if (!_dirty.TryFindSetRun(_cursor, extentPages, out run) && !_dirty.TryFindSetRun(0, extentPages, out run))
                return false;
            run = run with { Count = Math.Min(run.Count, extentPages - (run.First % extentPages)) };
            reserve = TakeReservation(run.First / ReservationPages);
            _cursor = run.End;
            _dirty.ClearRange(run);
            _dirtyCount -= run.Count;
            _inFlight.SetRange(run);
            _inFlightCount += run.Count;
            return true;
        }
    }

    /// <summary>
    /// Settles the dirty pages of which the memory's owner knows that they are zero without reading them. Done by the first
    /// writer of an iteration; the others wait for it.
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
            scanned = SetRuns(_dirty, new PageRun(0, Layout.PageCount), gap: 0);
            (_inFlight, _dirty) = (_dirty, _inFlight);
            (_inFlightCount, _dirtyCount) = (_dirtyCount, 0);
        }

        Exception? error = null;
        List<PageRun> holes = [];
        try
        {
            holes = Except(scanned, Memory.DataRuns());
            foreach (var hole in holes)
                ZeroOnFile(hole, image);
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
                Land(hole);
            }

            foreach (var run in scanned)
                ReturnToDirty(run);
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
            var runs = SetRuns(_reserved, new PageRun(0, _reserved.PageCount), gap: 0);
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
                    _normal++;
                }
            }

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
    internal void EndEpoch(bool durable)
    {
        lock (_gate)
        {
            if (_released || _closing is null)
                return;
            if (!durable)
            {
                _written.Or(_closing);
                _dirty.Or(_written);
                _dirtyCount += _closingCount + _writtenCount;
                _zeroCount -= SetRuns(_written, new PageRun(0, Layout.PageCount), gap: 0).Sum(Zeros);
                _written.ClearAll();
                _writtenCount = 0;
                _dirtiedAgain.Or(_inFlight);
                if (_state == BlockState.Clean && _dirtyCount > 0)
                    _state = BlockState.Ready;
            }

            _closing = null;
            _closingCount = 0;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_state != BlockState.Completed)
            {
                _state = BlockState.Cancelled;
                ReleaseBitmaps();
            }

            _settled.TrySetResult();
        }

        Memory.Dispose();
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

    /// <summary>The runs of set bits within a range; runs that are no more than <paramref name="gap"/> pages apart are joined.</summary>
    private static List<PageRun> SetRuns(PageBitmap bitmap, PageRun range, long gap)
    {
        List<PageRun> runs = [];

        // As many as are left, as in TryFindRun.
        var left = bitmap.CountRange(range);
        for (var from = range.First; left > 0 && bitmap.TryFindSetRun(from, left, out var run); left -= run.Count)
        {
            from = run.End;
            if (runs.Count > 0 && run.First - runs[^1].End <= gap)
                runs[^1] = runs[^1] with { Count = run.End - runs[^1].First };
            else
                runs.Add(run);
        }

        return runs;
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

    private List<PageRun>? TakeReservation(long chunk)
    {
        if (!_reservedChunks.Set(chunk))
            return null;
        var first = chunk * ReservationPages;
        var runs = SetRuns(_dirty, new PageRun(first, Math.Min(ReservationPages, Layout.PageCount - first)), GapPages);
        foreach (var run in runs)
        {
            _reserved.SetRange(run);

            // The pages in its gaps may have been written before, and those are not ours to give back.
            foreach (var written in SetRuns(_onFile, run, gap: 0))
                _reserved.ClearRange(written);
        }

        return runs;
    }

    /// <summary>In flight → written, or dirty where the guest wrote meanwhile.</summary>
    private void Land(PageRun run)
    {
        _inFlightCount -= _inFlight.ClearRange(run);
        _writtenCount += _written.SetRange(run);
        _zeroCount += Zeros(run);
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
        foreach (var pages in SetRuns(_inFlight, run, gap: 0))
        {
            _inFlightCount -= _inFlight.ClearRange(pages);
            _dirtiedAgain.ClearRange(pages);
            _dirtyCount += _dirty.SetRange(pages);
        }
    }

    /// <summary>A write that returns after the bitmaps were handed over or given up is counted and changes nothing.</summary>
    private bool RefuseLate()
    {
        if (_released)
            _lateWrites++;
        return _released;
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
        if (_state == BlockState.Iterating && _dirtyCount == 0 && !_scanDue)
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
        _dirty = _inFlight = _written = _dirtiedAgain = _shadow = _onFile = _reserved = new PageBitmap(0);
        _closing = null;
    }
}

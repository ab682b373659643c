using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>
/// The pages of one RAMBlock on their way into the image. Holds the dirty bitmap (which pages are to be written) and the shadow
/// bitmap (which pages are present in the file), and moves each page through dirty → in flight → written → durable; a page is in
/// exactly one of these, and dirty + in flight + written + durable = pages of the block at every moment. Thread-safe.
/// </summary>
public sealed partial class BlockEngine : IDisposable
{
    /// <summary>Zero pages between two runs that are written, or reserved, along with them: one larger write is faster than two.</summary>
    internal const int GapPages = 16;

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

    private long Zeros(PageRun run) => run.Count - _shadow.CountRange(run);

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

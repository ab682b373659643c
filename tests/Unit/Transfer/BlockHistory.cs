using DistMigrate.MappedRam;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>What may happen to a block, one thing after another.</summary>
internal enum BlockEvent
{
    GuestWrites,
    GuestZeroes,
    GuestFrees,
    Begin,
    Scan,
    Take,
    Copy,
    Fail,
    OpenEpoch,
    CloseEpoch,
    LoseEpoch,
    Invalidate,
}

/// <summary>Plays events on a block engine and, page by page, on a model that is too simple to be wrong.</summary>
internal sealed class BlockHistory : IDisposable
{
    private readonly TestBlock _block;
    private readonly int _extentPages;
    private readonly ExtentCopier _copier;
    private readonly State[] _pages;
    private readonly bool[] _again;
    private readonly bool[] _present;
    private readonly List<PageRun> _taken = [];
    private bool _epochOpen;
    private int _iteration;
    private long _normal;
    private long _duplicate;
    private byte _value;

    public BlockHistory(int pages, int extentPages)
    {
        _block = new TestBlock(pages);
        _extentPages = extentPages;
        _copier = new ExtentCopier(_block.Image, extentPages, _ => { });
        _pages = new State[pages];
        _again = new bool[pages];
        _present = new bool[pages];
    }

    private enum State
    {
        Dirty,
        Held,
        InFlight,
        Written,
        Closing,
        Durable,
    }

    public void Play(BlockEvent what, PageRun run)
    {
        switch (what)
        {
            case BlockEvent.GuestWrites:
                _block.Memory.Fill(run, NextValue());
                MarkDirty(run);
                break;
            case BlockEvent.GuestZeroes:
                _block.Memory.Fill(run, 0);
                MarkDirty(run);
                break;
            case BlockEvent.GuestFrees:
                _block.Memory.Free(run);
                MarkDirty(run);
                break;
            case BlockEvent.Invalidate:
                Invalidate();
                break;
            case BlockEvent.Begin:
                _block.Engine.BeginIteration(++_iteration);
                break;
            case BlockEvent.Scan:
                Scan();
                break;
            case BlockEvent.Take:
                Take();
                break;
            case BlockEvent.Copy:
                Copy();
                break;
            case BlockEvent.Fail:
                Fail();
                break;
            case BlockEvent.OpenEpoch:
                OpenEpoch();
                break;
            case BlockEvent.CloseEpoch:
                EndEpoch(durable: true);
                break;
            case BlockEvent.LoseEpoch:
                EndEpoch(durable: false);
                break;
        }

        AssertCounts(what);
    }

    /// <summary>Lets everything settle, with a good epoch at the end, and compares the file with memory.</summary>
    public void Finish()
    {
        EndEpoch(durable: true);
        while (_taken.Count > 0)
            Copy();
        do
        {
            Play(BlockEvent.Invalidate, default);
            Play(BlockEvent.Begin, default);
            Scan();
            while (Take())
                Copy();
        }
        while (_block.Now.Dirty > 0);
        OpenEpoch();
        EndEpoch(durable: true);
        AssertCounts(BlockEvent.CloseEpoch);
        Assert.Equal(_pages.Length, _block.Now.Durable);
        _block.AssertHandedOver(_block.HandOver());
    }

    public void Dispose()
    {
        _copier.Dispose();
        _block.Dispose();
    }

    private byte NextValue() => _value = (byte)(_value % 255 + 1);

    private void MarkDirty(PageRun run)
    {
        _block.Engine.MarkDirty(run);
        for (var page = run.First; page < run.End; page++)
        {
            if (_pages[page] == State.InFlight)
                _again[page] = true;
            else
                _pages[page] = _pages[page] is State.Durable or State.Held ? State.Held : State.Dirty;
        }
    }

    private void Scan()
    {
        if (!_block.Engine.TryScan(_block.Image))
            return;
        for (var page = 0; page < _pages.Length; page++)
        {
            if (_pages[page] == State.Dirty && _block.Memory.IsHole(page))
                Land(page, present: false);
        }
    }

    private bool Take()
    {
        if (!_block.Engine.TryTake(_extentPages, out var run))
            return false;
        Assert.InRange(run.Count, 1, _extentPages);
        Assert.Equal(run.First / _extentPages, (run.End - 1) / _extentPages);
        for (var page = run.First; page < run.End; page++)
        {
            Assert.Equal(State.Dirty, _pages[page]);
            _pages[page] = State.InFlight;
        }

        _taken.Add(run);
        return true;
    }

    private void Copy()
    {
        if (_taken.Count == 0)
            return;
        var run = _taken[0];
        _taken.RemoveAt(0);
        _copier.Copy(_block.Engine, run);
        for (var page = run.First; page < run.End; page++)
            Land(page, !_block.Memory.IsZero(page));
    }

    private void Fail()
    {
        if (_taken.Count == 0)
            return;
        var run = _taken[^1];
        _taken.RemoveAt(_taken.Count - 1);
        _block.Engine.Fail(run, new ImageException(ImageFault.Storage, "The test says so."));
        for (var page = run.First; page < run.End; page++)
        {
            _pages[page] = State.Dirty;
            _again[page] = false;
        }
    }

    /// <summary>The journal no longer speaks of the pages that are to be overwritten.</summary>
    private void Invalidate()
    {
        var held = _block.Engine.HeldPages();
        Assert.Equal(Count(State.Held), held.Sum(run => run.Count));
        _block.Engine.ReleaseHeld(held);
        Replace(State.Held, State.Dirty);
    }

    private void OpenEpoch()
    {
        if (_epochOpen)
            return;
        _epochOpen = true;
        _block.Engine.BeginEpoch();
        Replace(State.Written, State.Closing);
    }

    private void EndEpoch(bool durable)
    {
        if (!_epochOpen)
            return;
        _epochOpen = false;
        _block.Engine.EndEpoch(durable);
        if (durable)
        {
            Replace(State.Closing, State.Durable);
            return;
        }

        Replace(State.Closing, State.Dirty);
        Replace(State.Written, State.Dirty);
        for (var page = 0; page < _pages.Length; page++)
            _again[page] |= _pages[page] == State.InFlight;
    }

    private void Land(long page, bool present)
    {
        _present[page] = present;
        _normal += present ? 1 : 0;
        _duplicate += present ? 0 : 1;
        _pages[page] = _again[page] ? State.Dirty : State.Written;
        _again[page] = false;
    }

    private void Replace(State from, State to)
    {
        for (var page = 0; page < _pages.Length; page++)
            _pages[page] = _pages[page] == from ? to : _pages[page];
    }

    private void AssertCounts(BlockEvent after)
    {
        var zero = Enumerable.Range(0, _pages.Length).LongCount(IsZero);
        var expected = (Count(State.Dirty) + Count(State.Held), Count(State.InFlight), Count(State.Written) + Count(State.Closing), Count(State.Durable), zero, _normal, _duplicate);
        var now = _block.Now;
        var found = (now.Dirty, now.InFlight, now.Written, now.Durable, now.Zero, now.Normal, now.Duplicate);
        Assert.True(expected == found, $"after {after}: (dirty, in flight, written, durable, zero, normal, duplicate) is {found}, not {expected}");
        AssertCells(after, cells: 1);
        AssertCells(after, cells: 7);
        AssertCells(after, cells: _pages.Length + 1);
    }

    /// <summary>Every cell has the pages that a count page by page puts there.</summary>
    private void AssertCells(BlockEvent after, int cells)
    {
        var found = _block.Cells(cells);
        var expected = new CellCounts[cells];
        for (var cell = 0; cell < cells; cell++)
        {
            for (var page = (int)((long)_pages.Length * cell / cells); page < (int)((long)_pages.Length * (cell + 1) / cells); page++)
                expected[cell] = Plus(expected[cell], page);
        }

        Assert.True(expected.SequenceEqual(found), $"after {after}: the cells are {string.Join(", ", found)}, not {string.Join(", ", expected)}");
    }

    private CellCounts Plus(CellCounts cell, int page)
    {
        cell = cell with { Zero = cell.Zero + (IsZero(page) ? 1 : 0) };
        return _pages[page] switch
        {
            State.Dirty or State.Held => cell with { Dirty = cell.Dirty + 1 },
            State.InFlight => cell with { InFlight = cell.InFlight + 1 },
            State.Written or State.Closing => cell with { Written = cell.Written + 1 },
            _ => cell with { Durable = cell.Durable + 1 },
        };
    }

    private bool IsZero(int page) => _pages[page] is not (State.Dirty or State.Held or State.InFlight) && !_present[page];

    private long Count(State state) => _pages.LongCount(page => page == state);
}

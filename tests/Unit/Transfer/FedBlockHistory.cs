using DistMigrate.MappedRam;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>What may happen while QEMU streams.</summary>
internal enum FeedEvent
{
    GuestWrites,
    GuestZeroes,
    GuestWritesBack,
    Send,
    Receive,
    Pause,
    Scan,
    Take,
    Copy,
    Fail,
    OpenEpoch,
    CloseEpoch,
    LoseEpoch,
    Invalidate,
    BreakStream,
}

/// <summary>
/// A running guest with QEMU's dirty log and its stream, of which some is always on the way, and a block that the stream feeds. After
/// every event each page whose newest content is not durable is still to come: from QEMU's log, on the way, dirty, in flight or written.
/// </summary>
internal sealed class FedBlockHistory : IDisposable
{
    private readonly TestBlock _block;
    private readonly int _extentPages;
    private readonly ExtentCopier _copier;
    private readonly bool[] _log;
    private readonly byte[] _before;
    private readonly Queue<(long Page, byte[] Content)> _onTheWay = new();
    private readonly List<PageRun> _taken = [];
    private bool _epochOpen;
    private bool _isDrained;
    private int _iteration;
    private byte _value;

    public FedBlockHistory(int pages, int extentPages)
    {
        _block = new TestBlock(pages);
        _extentPages = extentPages;
        _copier = new ExtentCopier(_block.Image, extentPages, _ => { });
        _log = new bool[pages];
        _before = new byte[pages];
        BeginStream();
    }

    public void Play(FeedEvent what, PageRun run)
    {
        switch (what)
        {
            case FeedEvent.GuestWrites:
                Write(run, _ => NextValue());
                break;
            case FeedEvent.GuestZeroes:
                Write(run, _ => 0);
                break;
            case FeedEvent.GuestWritesBack:
                Write(run, page => _before[page]);
                break;
            case FeedEvent.Send:
                Send(run);
                break;
            case FeedEvent.Receive:
                for (var i = 0; i < run.Count && Receive(); i++)
                {
                }

                break;
            case FeedEvent.Pause:
                _block.Engine.EndAnnouncements();
                break;
            case FeedEvent.Scan:
                _block.Engine.TryScan(_block.Image);
                break;
            case FeedEvent.Take:
                Take();
                break;
            case FeedEvent.Copy:
                Copy();
                break;
            case FeedEvent.Fail:
                Fail();
                break;
            case FeedEvent.OpenEpoch:
                if (!_epochOpen)
                    _block.Engine.BeginEpoch();
                _epochOpen = true;
                break;
            case FeedEvent.CloseEpoch:
                EndEpoch(durable: true);
                break;
            case FeedEvent.LoseEpoch:
                EndEpoch(durable: false);
                break;
            case FeedEvent.Invalidate:
                _block.Engine.ReleaseHeld(_block.Engine.HeldPages());
                break;
            case FeedEvent.BreakStream:
                _onTheWay.Clear();
                _block.Engine.EndFeed();
                BeginStream();
                break;
        }

        AssertNothingIsForgotten(what);
    }

    /// <summary>The guest is stopped, QEMU sends the rest, the stream ends, and everything is written.</summary>
    public void Finish()
    {
        _isDrained = true;
        EndEpoch(durable: true);
        Send(new PageRun(0, _log.Length));
        while (Receive())
        {
        }

        _block.Engine.EndAnnouncements();
        _block.Engine.TryScan(_block.Image);
        Assert.NotEqual(BlockState.Clean, _block.Now.State);
        _block.Engine.EndFeed();
        while (_taken.Count > 0)
            Copy();
        do
        {
            _block.Engine.ReleaseHeld(_block.Engine.HeldPages());
            _block.Engine.BeginIteration(++_iteration, again: true);
            _block.Engine.TryScan(_block.Image);
            while (Take())
                Copy();
        }
        while (_block.Now.Dirty > 0);
        _block.CloseEpoch();
        Assert.Equal((BlockState.Clean, _log.Length), (_block.Now.State, _block.Now.Durable));
        _block.AssertHandedOver(_block.HandOver());
    }

    public void Dispose()
    {
        _copier.Dispose();
        _block.Dispose();
    }

    private void BeginStream()
    {
        Array.Fill(_log, true);
        _block.Engine.BeginFeed();
        _block.Engine.BeginIteration(++_iteration);
    }

    private byte NextValue() => _value = (byte)(_value % 255 + 1);

    private void Write(PageRun run, Func<long, byte> value)
    {
        for (var page = run.First; page < run.End; page++)
        {
            var old = _block.Memory[page][0];
            _block.Memory.Fill(new PageRun(page, 1), value(page));
            _before[page] = old;
            _log[page] = true;
        }
    }

    /// <summary>QEMU clears its log before it reads a page.</summary>
    private void Send(PageRun run)
    {
        for (var page = run.First; page < run.End; page++)
        {
            if (!_log[page])
                continue;
            _log[page] = false;
            _onTheWay.Enqueue((page, _block.Memory[page].ToArray()));
        }
    }

    private bool Receive()
    {
        if (!_onTheWay.TryDequeue(out var record))
            return false;
        _block.Engine.Announce(record.Page, record.Content.AsSpan().ContainsAnyExcept((byte)0) ? record.Content : default);
        return true;
    }

    private bool Take()
    {
        if (!_block.Engine.TryTake(_extentPages, out var run))
            return false;
        Assert.InRange(run.Count, 1, _extentPages);
        Assert.Equal(run.First / _extentPages, (run.End - 1) / _extentPages);
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
    }

    private void Fail()
    {
        if (_taken.Count == 0)
            return;
        var run = _taken[^1];
        _taken.RemoveAt(_taken.Count - 1);
        _block.Engine.Fail(run, new ImageException(ImageFault.Storage, "The test says so."));
        _block.Engine.BeginIteration(++_iteration);
    }

    private void EndEpoch(bool durable)
    {
        if (!_epochOpen)
            return;
        _epochOpen = false;
        _block.Engine.EndEpoch(durable);
        if (!durable && !_isDrained)
            _block.Engine.BeginIteration(++_iteration);
    }

    private void AssertNothingIsForgotten(FeedEvent after)
    {
        _block.Cells(7);
        var settled = _block.Engine.SettledPages();
        for (var page = 0; page < _log.Length; page++)
        {
            if (_log[page] || !settled[page] || _onTheWay.Any(record => record.Page == page))
                continue;
            Assert.True(
                _block.Memory[page].SequenceEqual(_block.PageInFile(page)),
                $"after {after} page {page} holds something else than the file, and nobody is going to write it");
        }
    }
}

using System.IO.Hashing;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>What writers take, and tell of it.</summary>
public sealed partial class BlockEngine
{
    /// <summary>Pages of a run whose space is reserved before it is written; a call for each smaller one costs more than it gains.</summary>
    private const long ReservationPages = 256;

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

            scanned = _inFlight.SetRuns(new PageRun(0, Layout.PageCount));
        }

        Exception? error = null;
        List<PageRun> holes = [];
        try
        {
            holes = scanned.Without(Memory.DataRuns());
            foreach (var hole in holes)
                ZeroOnFile(hole, image);
            foreach (var run in Reserve(scanned.Without(holes)))
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
            var runs = _reserved.SetRuns(new PageRun(0, _reserved.PageCount));
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

    private bool TryFindOnFile(long from, long end, out PageRun run)
    {
        lock (_gate)
        {
            run = default;
            return !_released && _onFile.TryFindRun(from, end, out run);
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
                foreach (var written in _onFile.EachSetRun(run))
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
        for (var from = run.First; _lost.TryFindRun(from, run.End, out var lost); from = lost.End)
        {
            _lost.ClearRange(lost);
            _failed.SetRange(lost);
            _onFile.SetRange(lost);
        }

        for (var from = run.First; _dirtiedAgain.TryFindRun(from, run.End, out var again); from = again.End)
        {
            _dirtiedAgain.ClearRange(again);
            _writtenCount -= _written.ClearRange(again);
            _zeroCount -= Zeros(again);
            _dirtyCount += _dirty.SetRange(again);
        }
    }

    /// <summary>In flight → dirty, for those of the run that are in flight.</summary>
    private void ReturnToDirty(PageRun run)
    {
        foreach (var pages in _inFlight.EachSetRun(run))
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

        foreach (var pages in _inFlight.EachSetRun(run))
        {
            _inFlightCount -= _inFlight.ClearRange(pages);
            _lost.ClearRange(pages);
            _awaitedCount += _awaited.SetRange(pages);
            for (var from = pages.First; _dirtiedAgain.TryFindRun(from, pages.End, out var told); from = told.End)
            {
                _dirtiedAgain.ClearRange(told);
                _awaitedCount -= _awaited.ClearRange(told);
                _dirtyCount += _dirty.SetRange(told);
            }
        }
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
}

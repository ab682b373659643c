namespace DistMigrate.Transfer;

/// <summary>The stream that tells which pages are to be written.</summary>
public sealed partial class BlockEngine
{
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
}

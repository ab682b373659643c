using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace DistMigrate.MappedRam;

/// <summary>
/// One bit per page of a RAMBlock, in 64-bit words, least significant bit first: in memory and, as little-endian words,
/// in the image. Serves as dirty bitmap and as shadow bitmap.
/// </summary>
/// <remarks>
/// Not thread-safe: its owner locks. Bits beyond <see cref="PageCount"/> are always 0, so that counting and searching
/// need no special case for the last word.
/// </remarks>
public sealed class PageBitmap
{
    /// <summary>The most pages that one bitmap can hold (more than 500 TiB of guest memory).</summary>
    public static readonly long MaxPageCount = (long)Array.MaxLength * BitsPerWord;

    private const int BitsPerWord = 64;
    private const int BytesPerWord = sizeof(ulong);

    private readonly ulong[] _words;

    /// <summary>A bitmap of <paramref name="pageCount"/> pages, all clear.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="pageCount"/> is negative or above <see cref="MaxPageCount"/>.</exception>
    public PageBitmap(long pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(pageCount);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(pageCount, MaxPageCount);
        PageCount = pageCount;
        _words = new ulong[WordCount(pageCount)];
    }

    /// <summary>How many pages the bitmap speaks of.</summary>
    public long PageCount { get; }

    /// <summary>The words themselves, for readers of the file format; whoever fills them keeps the padding clear.</summary>
    internal Span<ulong> Words => _words;

    /// <summary>The bits of the last word that belong to pages; all of them where the last word is full.</summary>
    internal ulong LastWordMask => ulong.MaxValue >>> (int)(-PageCount & (BitsPerWord - 1));

    /// <summary>Whether the page's bit is set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such page.</exception>
    public bool this[long page]
    {
        get
        {
            CheckPage(page);
            return (_words[page / BitsPerWord] & Bit(page)) != 0;
        }
    }

    /// <summary>A bitmap of <paramref name="pageCount"/> pages, all set: the dirty bitmap as a migration begins.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="pageCount"/> is negative or above <see cref="MaxPageCount"/>.</exception>
    public static PageBitmap AllSet(long pageCount)
    {
        var bitmap = new PageBitmap(pageCount);
        bitmap.SetAll();
        return bitmap;
    }

    /// <summary>The bytes that a bitmap of <paramref name="pageCount"/> pages takes in the image: whole 64-bit words.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="pageCount"/> is negative.</exception>
    public static long ByteLength(long pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(pageCount);
        return WordCount(pageCount) * BytesPerWord;
    }

    /// <summary>The bitmap whose bytes in the image are <paramref name="bytes"/>.</summary>
    /// <param name="bytes">Exactly <see cref="ByteLength"/> bytes.</param>
    /// <param name="pageCount">How many pages the bitmap speaks of.</param>
    /// <exception cref="ArgumentException">The length is another, or a bit beyond the last page is set.</exception>
    public static PageBitmap FromBytes(ReadOnlySpan<byte> bytes, long pageCount)
    {
        if (bytes.Length != ByteLength(pageCount))
        {
            throw new ArgumentException(
                $"A bitmap of {pageCount} pages takes {ByteLength(pageCount)} bytes, not {bytes.Length}.", nameof(bytes));
        }

        var bitmap = new PageBitmap(pageCount);
        bytes.CopyTo(MemoryMarshal.AsBytes(bitmap._words.AsSpan()));
        ToHostOrder(bitmap._words);
        return bitmap.ClearPadding()
            ? throw new ArgumentException($"A bit beyond the last of {pageCount} pages is set.", nameof(bytes))
            : bitmap;
    }

    /// <summary>Sets the page's bit.</summary>
    /// <returns>Whether it was clear before.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such page.</exception>
    public bool Set(long page)
    {
        CheckPage(page);
        ref var word = ref _words[page / BitsPerWord];
        var before = word;
        word |= Bit(page);
        return word != before;
    }

    /// <summary>Clears the page's bit.</summary>
    /// <returns>Whether it was set before.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such page.</exception>
    public bool Clear(long page)
    {
        CheckPage(page);
        ref var word = ref _words[page / BitsPerWord];
        var before = word;
        word &= ~Bit(page);
        return word != before;
    }

    /// <summary>Sets the bits of <paramref name="run"/>.</summary>
    /// <returns>How many of them were clear before.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The run isn't wholly inside the bitmap.</exception>
    public long SetRange(PageRun run)
    {
        CheckRun(run);
        var changed = 0L;
        foreach (var (index, mask) in new WordsOf(run))
        {
            changed += BitOperations.PopCount(~_words[index] & mask);
            _words[index] |= mask;
        }

        return changed;
    }

    /// <summary>Clears the bits of <paramref name="run"/>.</summary>
    /// <returns>How many of them were set before.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The run isn't wholly inside the bitmap.</exception>
    public long ClearRange(PageRun run)
    {
        CheckRun(run);
        var changed = 0L;
        foreach (var (index, mask) in new WordsOf(run))
        {
            changed += BitOperations.PopCount(_words[index] & mask);
            _words[index] &= ~mask;
        }

        return changed;
    }

    /// <summary>Sets every page's bit.</summary>
    public void SetAll()
    {
        Array.Fill(_words, ulong.MaxValue);
        ClearPadding();
    }

    /// <summary>Clears every page's bit.</summary>
    public void ClearAll() => Array.Clear(_words);

    /// <summary>How many pages' bits are set.</summary>
    public long Count()
    {
        var count = 0L;
        foreach (var word in _words)
        {
            count += BitOperations.PopCount(word);
        }

        return count;
    }

    /// <summary>How many pages of <paramref name="run"/> have their bit set.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The run isn't wholly inside the bitmap.</exception>
    public long CountRange(PageRun run)
    {
        CheckRun(run);
        var count = 0L;
        foreach (var (index, mask) in new WordsOf(run))
        {
            count += BitOperations.PopCount(_words[index] & mask);
        }

        return count;
    }

    /// <summary>How many pages of <paramref name="run"/> have their bit set here, and in none of <paramref name="others"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The run isn't wholly inside one of the bitmaps.</exception>
    public long CountRange(PageRun run, params ReadOnlySpan<PageBitmap> others)
    {
        CheckRun(run);
        foreach (var other in others)
        {
            other.CheckRun(run);
        }

        var count = 0L;
        foreach (var (index, mask) in new WordsOf(run))
        {
            var word = _words[index] & mask;
            foreach (var other in others)
            {
                word &= ~other._words[index];
            }

            count += BitOperations.PopCount(word);
        }

        return count;
    }

    /// <summary>Finds the next run of pages whose bits are set, a word at a time.</summary>
    /// <param name="from">The page to start at; <see cref="PageCount"/> is allowed and finds nothing.</param>
    /// <param name="maxPages">The run is cut at this many pages, at least 1; the rest is found by asking from its end.</param>
    /// <param name="run">The run; empty when there is none.</param>
    /// <returns>Whether there is one.</returns>
    /// <exception cref="ArgumentOutOfRangeException">
    /// <paramref name="from"/> is outside the bitmap, or <paramref name="maxPages"/> is below 1.
    /// </exception>
    public bool TryFindSetRun(long from, long maxPages, out PageRun run)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(from);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(from, PageCount);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxPages, 1);

        var first = NextBit(from, PageCount, invert: 0);
        if (first == PageCount)
        {
            run = default;
            return false;
        }

        var end = NextBit(first, first + Math.Min(maxPages, PageCount - first), invert: ulong.MaxValue);
        run = new PageRun(first, end - first);
        return true;
    }

    /// <summary>Sets every bit that is set in <paramref name="other"/>.</summary>
    /// <exception cref="ArgumentException">The other bitmap has another number of pages.</exception>
    public void Or(PageBitmap other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (other.PageCount != PageCount)
        {
            throw new ArgumentException($"A bitmap of {other.PageCount} pages can't be merged into one of {PageCount}.", nameof(other));
        }

        for (var i = 0; i < _words.Length; i++)
        {
            _words[i] |= other._words[i];
        }
    }

    /// <summary>Writes the bitmap as it stands in the image: little-endian words, whatever the machine.</summary>
    /// <param name="destination">At least <see cref="ByteLength"/> bytes; what is behind them stays as it is.</param>
    /// <exception cref="ArgumentException"><paramref name="destination"/> is too short.</exception>
    public void CopyTo(Span<byte> destination)
    {
        if (destination.Length < ByteLength(PageCount))
        {
            throw new ArgumentException(
                $"A bitmap of {PageCount} pages takes {ByteLength(PageCount)} bytes, not {destination.Length}.", nameof(destination));
        }

        for (var i = 0; i < _words.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(destination[(i * BytesPerWord)..], _words[i]);
        }
    }

    /// <summary>Clears the bits beyond the last page.</summary>
    /// <returns>Whether one of them was set.</returns>
    internal bool ClearPadding()
    {
        if (_words.Length == 0)
        {
            return false;
        }

        ref var last = ref _words[^1];
        var before = last;
        last &= LastWordMask;
        return last != before;
    }

    /// <summary>Turns words just read from the image into words of this machine.</summary>
    internal static void ToHostOrder(Span<ulong> words)
    {
        if (!BitConverter.IsLittleEndian)
        {
            BinaryPrimitives.ReverseEndianness(words, words);
        }
    }

    private static long WordCount(long pageCount) => (pageCount / BitsPerWord) + (pageCount % BitsPerWord == 0 ? 0 : 1);

    private static ulong Bit(long page) => 1UL << (int)(page & (BitsPerWord - 1));

    /// <summary>The first page in [from, end) whose bit, after xor with <paramref name="invert"/>, is set; else <paramref name="end"/>.</summary>
    private long NextBit(long from, long end, ulong invert)
    {
        if (from >= end)
        {
            return end;
        }

        var index = from / BitsPerWord;
        var word = (_words[index] ^ invert) & (ulong.MaxValue << (int)(from & (BitsPerWord - 1)));
        while (word == 0)
        {
            if (++index * BitsPerWord >= end)
            {
                return end;
            }

            word = _words[index] ^ invert;
        }

        return Math.Min((index * BitsPerWord) + BitOperations.TrailingZeroCount(word), end);
    }

    private void CheckPage(long page)
    {
        if ((ulong)page >= (ulong)PageCount)
        {
            throw new ArgumentOutOfRangeException(nameof(page), page, $"The bitmap has {PageCount} pages.");
        }
    }

    private void CheckRun(PageRun run)
    {
        if (run.First < 0 || run.Count < 0 || run.First > PageCount || run.Count > PageCount - run.First)
        {
            throw new ArgumentOutOfRangeException(nameof(run), run, $"The bitmap has {PageCount} pages.");
        }
    }

    /// <summary>The words that a run touches, each with the mask of the run's bits in it.</summary>
    private readonly struct WordsOf(PageRun run)
    {
        public Enumerator GetEnumerator() => new(run);

        public struct Enumerator(PageRun run)
        {
            private long _next = run.First;

            public (long Index, ulong Mask) Current { get; private set; }

            public bool MoveNext()
            {
                if (_next >= run.End)
                {
                    return false;
                }

                var bit = (int)(_next & (BitsPerWord - 1));
                var count = (int)Math.Min(BitsPerWord - bit, run.End - _next);
                Current = (_next / BitsPerWord, (ulong.MaxValue >>> (BitsPerWord - count)) << bit);
                _next += count;
                return true;
            }
        }
    }
}

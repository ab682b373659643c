using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Transfer.Journal;

/// <summary>
/// Collects records behind the end of a journal and writes them in pieces of at most 1 MiB. What it makes durable is up to its owner. Not
/// thread-safe.
/// </summary>
internal sealed class JournalAppender : IDisposable
{
    /// <summary>The most pages of one record that this writer makes; entries are asked for by as many.</summary>
    public const int ChunkPages = 4096;

    private const int BufferLength = 256 << 10;
    private const int MaxWrite = 1 << 20;

    /// <summary>Runs of one invalidation.</summary>
    private const int ChunkRuns = 4096;

    private readonly UInt128[] _entries = new UInt128[ChunkPages];
    private byte[] _buffer = new byte[BufferLength];
    private int _buffered;
    private long _written;

    /// <summary>Begins a new journal in an empty file.</summary>
    public JournalAppender(IStoredFile file, JournalEncoder encoder)
    {
        File = file;
        Encoder = encoder;
        Append(encoder.Beginning());
    }

    /// <summary>Goes on with a journal.</summary>
    public JournalAppender(IStoredFile file, JournalEnd end)
    {
        File = file;
        Encoder = new JournalEncoder(end);
        _written = end.ValidLength;
    }

    public IStoredFile File { get; }

    public JournalEncoder Encoder { get; }

    /// <summary>Bytes of the journal, those included that are not yet in the file.</summary>
    public long Length => _written + _buffered;

    /// <summary>Tells what is durable of a RAMBlock.</summary>
    /// <param name="block">Its index in the identity.</param>
    /// <param name="epoch">The fsync epoch.</param>
    /// <param name="runs">The pages to speak of, ascending and apart; <c>(0, pages)</c> for all of which something is known.</param>
    /// <param name="entries">What is known of them.</param>
    public void Durable(int block, uint epoch, IReadOnlyList<PageRun> runs, PageEntries entries)
    {
        foreach (var chunk in ChunksOf(runs))
        {
            Array.Clear(_entries);
            Fill(chunk, runs, entries, _entries);
            DurableChunk(block, epoch, chunk, _entries);
        }
    }

    /// <summary>A step of the switch-over.</summary>
    public void Step(uint step, DateTimeOffset time, string text) => Append(Encoder.Step(step, time, text));

    /// <summary>The stretches that records are made of: they reach over the gaps between runs, as one record for scattered pages is smaller than many.</summary>
    internal static IEnumerable<Chunk> ChunksOf(IReadOnlyList<PageRun> runs)
    {
        var index = 0;
        var skip = 0L;
        while (index < runs.Count)
        {
            var first = runs[index].First + skip;
            var last = index;
            for (; last + 1 < runs.Count && runs[last + 1].First - first < ChunkPages; last++)
            {
                if (runs[last + 1].First < runs[last].End)
                    throw new ArgumentException($"{runs[last + 1]} does not stand behind {runs[last]}.", nameof(runs));
            }

            var end = Math.Min(runs[last].End, first + ChunkPages);
            yield return new Chunk(new PageRun(first, end - first), index, last);

            // A long run is cut; its rest begins the next chunk.
            var isCut = end < runs[last].End;
            skip = isCut ? end - runs[last].First : 0;
            index = isCut ? last : last + 1;
        }
    }

    /// <summary>Asks for the entries of a chunk; what lies between its runs stays without.</summary>
    internal static void Fill(in Chunk chunk, IReadOnlyList<PageRun> runs, PageEntries fill, Span<UInt128> entries)
    {
        for (var i = chunk.FirstRun; i <= chunk.LastRun; i++)
        {
            var first = Math.Max(runs[i].First, chunk.Pages.First);
            var end = Math.Min(runs[i].End, chunk.Pages.End);
            if (end > first)
                fill(new PageRun(first, end - first), entries.Slice((int)(first - chunk.Pages.First), (int)(end - first)));
        }
    }

    /// <summary>Writes the entries of a chunk: zero pages as runs where that is smaller, and nothing of what is not known.</summary>
    internal void DurableChunk(int block, uint epoch, in Chunk chunk, ReadOnlySpan<UInt128> entries)
    {
        // What a record of its own costs, in entries.
        var recordCost = JournalEncoder.RecordLength(JournalEncoder.DurableLength(0)) / JournalEntry.Length + 1;
        var count = (int)chunk.Pages.Count;
        for (var from = 0; from < count;)
        {
            var alike = CountAlike(entries[from..count]);
            if (entries[from] == JournalEntry.None)
            {
                from += alike;
                continue;
            }

            var end = from;
            var isZero = entries[from] == JournalEntry.Zero && alike > 2 * recordCost;
            if (isZero)
                end += alike;
            for (var next = end; !isZero && next < count; next += alike)
            {
                // A gap ends the record when another one is cheaper than its entries; one at the end is left out anyway.
                alike = CountAlike(entries[next..count]);
                if ((entries[next] == JournalEntry.None && alike > recordCost) || (entries[next] == JournalEntry.Zero && alike > 2 * recordCost))
                    break;
                if (entries[next] != JournalEntry.None)
                    end = next + alike;
            }

            var run = new PageRun(chunk.Pages.First + from, end - from);
            var values = isZero ? default : entries[from..end];
            var place = Reserve(JournalEncoder.RecordLength(JournalEncoder.DurableLength(values.Length)));
            _buffered += Encoder.WriteDurable(place, block, epoch, run, values);
            from = end;
        }
    }

    internal void Invalid(int block, IReadOnlyList<PageRun> runs)
    {
        var all = runs as PageRun[] ?? [.. runs];
        for (var from = 0; from < all.Length; from += ChunkRuns)
        {
            var chunk = all.AsSpan(from, Math.Min(ChunkRuns, all.Length - from));
            var place = Reserve(JournalEncoder.RecordLength(JournalEncoder.InvalidLength(chunk.Length)));
            _buffered += Encoder.WriteInvalid(place, block, chunk);
        }
    }

    internal void Repeat(in JournalRecord record)
    {
        var place = Reserve(record.Length);
        _buffered += Encoder.Repeat(place, record);
    }

    internal void Append(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(Reserve(bytes.Length));
        _buffered += bytes.Length;
    }

    /// <summary>Puts all that was collected into the file.</summary>
    /// <exception cref="Posix.ErrnoException">A write failed.</exception>
    internal void Drain()
    {
        for (var done = 0; done < _buffered;)
        {
            var piece = _buffer.AsSpan(done, Math.Min(MaxWrite, _buffered - done));
            File.Write(piece, _written);
            _written += piece.Length;
            done += piece.Length;
        }

        _buffered = 0;
    }

    public void Dispose() => File.Dispose();

    private Span<byte> Reserve(int length)
    {
        if (length > _buffer.Length - _buffered)
            Drain();
        if (length > _buffer.Length)
            _buffer = new byte[length];
        return _buffer.AsSpan(_buffered);
    }

    /// <summary>How many entries from the first on are alike: none known, or all zero; a hash is like another.</summary>
    private static int CountAlike(ReadOnlySpan<UInt128> entries)
    {
        var sort = entries[0];
        var count = sort > JournalEntry.Zero ? entries.IndexOfAny(JournalEntry.None, JournalEntry.Zero) : entries.IndexOfAnyExcept(sort);
        return count < 0 ? entries.Length : count;
    }

    /// <summary>Pages from one run's first to another's last, and which runs they meet.</summary>
    internal readonly record struct Chunk(PageRun Pages, int FirstRun, int LastRun);
}

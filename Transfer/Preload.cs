using System.Buffers;
using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Transfer;

/// <summary>
/// Fills the large RAMBlocks of a QEMU that waits for a guest while that still runs at its source: what the source's journal says to be
/// durable is read from the partial image on shared storage, checked by its hash, and written into the waiting memory, again and again.
/// Once the image is published only what has changed since is left, and every page is proven by the image's checksums.
/// </summary>
internal sealed class Preload : IDisposable
{
    /// <summary>Smaller RAMBlocks are loaded by QEMU itself.</summary>
    public const long LeastBlock = 16L << 20;

    private const int ChunkPages = 256;

    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(200);

    /// <summary>A journal is read from its beginning each time, so a large one is read less often.</summary>
    private const int RestFactor = 4;

    private readonly ImagePaths _paths;
    private readonly string _migration;
    private readonly string _machine;
    private readonly IReadOnlyDictionary<string, Target> _targets;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stop = new();
    private readonly Thread _thread;

    /// <summary>Begins to fill.</summary>
    /// <param name="imagePath">The image.</param>
    /// <param name="migration">Whose partial image it is.</param>
    /// <param name="machine">The machine's name, which stands before the image's pages.</param>
    /// <param name="memories">The memory of the RAMBlocks to fill, all zero; owned from now on.</param>
    /// <param name="time">The clock.</param>
    public Preload(string imagePath, string migration, string machine, IReadOnlyList<WaitingMemory> memories, TimeProvider time)
    {
        _paths = new ImagePaths(imagePath);
        _migration = migration;
        _machine = machine;
        _targets = memories.ToDictionary(memory => memory.Name, memory => new Target(memory));
        _time = time;
        _thread = new Thread(Run) { IsBackground = true, Name = $"preload of {imagePath}" };
        _thread.Start();
    }

    /// <summary>Whether it fills a RAMBlock.</summary>
    public bool Fills(string ramBlock) => _targets.ContainsKey(ramBlock);

    /// <summary>Bytes of pages written into the waiting memory so far.</summary>
    public long Bytes { get; private set; }

    /// <summary>Bytes of pages of the image that the waiting memory holds.</summary>
    public long Held => _targets.Values.Sum(target => Interlocked.Read(ref target.HeldPages)) * Page.Size;

    /// <summary>Brings the RAMBlocks to what the published image holds, page by page by its checksums.</summary>
    /// <param name="image">The image's structure.</param>
    /// <param name="imageId">The id of its manifest.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <returns>What the checksums say, for the proof of the other RAMBlocks.</returns>
    /// <exception cref="ImageException">The checksums or the image are damaged, or not those of this image.</exception>
    /// <exception cref="GuestException">The waiting QEMU has ended.</exception>
    public JournalState Finish(MappedRamImage image, Guid imageId, CancellationToken cancellationToken)
    {
        _stop.Cancel();
        _thread.Join();
        return LoadProof.ReadChecksums(_paths.Image, checksums =>
        {
            var state = new JournalState();
            using var input = new FileImageInput(_paths.Image);
            var end = JournalReader.Replay(checksums, state);
            if (end.IsTorn || end.ImageLength != input.Length || state.Identity?.ImageId != imageId)
                throw Damaged("they are not those of this image, or are cut");
            var blocks = state.Blocks.ToDictionary(block => block.Name);
            foreach (var block in image.Blocks.Where(block => Fills(block.Layout.Name)))
            {
                if (!blocks.TryGetValue(block.Layout.Name, out var known) || known.PageCount != block.Layout.PageCount)
                    throw Damaged($"they lack RAMBlock {block.Layout.Name}");
                var target = _targets[block.Layout.Name];
                var wrong = Fill(target, input, block.Layout.PagesOffset, page => EntryOf(block, known, page), cancellationToken);
                if (wrong is { } page)
                {
                    throw new ImageException(ImageFault.Mismatch,
                        $"Page {page} of RAMBlock {block.Layout.Name} in {_paths.Image} is not the one that was saved. The guest must not run from it. "
                        + "Check the image with 'distmigrate verify --deep'.");
                }
            }

            return state;
        });
    }

    /// <summary>Proves the memory of a RAMBlock that QEMU has loaded.</summary>
    /// <exception cref="ImageException">A page is not the one that was saved.</exception>
    public static void Prove(string imagePath, MappedRamBlock block, JournalBlockState known, IGuestMemory memory)
    {
        var content = new byte[Page.Size];
        for (var page = 0L; page < block.Layout.PageCount; page++)
        {
            memory.Read(page * Page.Size, content);
            var isGood = block.Shadow[page] ? JournalEntry.OfContent(content) == known[page] : !content.AsSpan().ContainsAnyExcept((byte)0);
            if (!isGood)
            {
                throw new ImageException(ImageFault.Mismatch,
                    $"Page {page} of RAMBlock {block.Layout.Name} that QEMU loaded from {imagePath} is not the one that was saved. The guest must not run from "
                    + "this memory. Check the image with 'distmigrate verify --deep', and the memory of this host.");
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stop.Cancel();

        // A read from storage that hangs keeps its thread and what that uses.
        if (_thread.Join(TimeSpan.FromSeconds(1)))
        {
            foreach (var target in _targets.Values)
                target.Memory.Dispose();
            _stop.Dispose();
        }
    }

    private UInt128 EntryOf(MappedRamBlock block, JournalBlockState known, long page)
    {
        if (!block.Shadow[page])
            return JournalEntry.Zero;
        var entry = known[page];
        return entry != JournalEntry.None ? entry : throw Damaged($"they lack page {page} of RAMBlock {block.Layout.Name}");
    }

    private ImageException Damaged(string why) => new(ImageFault.Malformed,
        $"{_paths.Checksums} proves nothing about {_paths.Image}: {why}. Check the image with 'distmigrate verify --deep'.");

    private void Run()
    {
        while (!_stop.IsCancellationRequested)
        {
            var began = _time.GetTimestamp();
            try
            {
                FillDurable();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or JournalException or GuestException or OperationCanceledException)
            {
                // Not there yet, or just being written anew, or the storage fails: whatever is missing in the end is read then.
            }

            var rest = _time.GetElapsedTime(began) * RestFactor;
            _stop.Token.WaitHandle.WaitOne(rest > Pace ? rest : Pace);
        }
    }

    /// <summary>Takes what is durable by now. A page that is being written anew does not have its hash, and comes in a later round.</summary>
    private void FillDurable()
    {
        var state = new JournalState();
        using (var journal = new UnlockedInput(_paths.Journal))
            JournalReader.Replay(journal, state);
        if (state.Identity is not { } identity || identity.Migration != _migration)
            return;
        var layout = ImageLayout.Create(_machine, [.. identity.Blocks.Select(block => new RamBlockSpec(block.Name, block.Pages * Page.Size))]);
        using var partial = new UnlockedInput(_paths.Partial);
        foreach (var block in state.Blocks)
        {
            if (_targets.TryGetValue(block.Name, out var target) && target.Memory.Length == block.PageCount * Page.Size)
                Fill(target, partial, layout[block.Name].PagesOffset, page => block[page], _stop.Token);
        }
    }

    /// <summary>Makes pages what the entries say, as far as the file has them so.</summary>
    /// <returns>The first page that the file does not have so; null when there is none.</returns>
    private long? Fill(Target target, IImageInput input, long pagesOffset, Func<long, UInt128> entryOf, CancellationToken cancellationToken)
    {
        long? wrong = null;
        var buffer = ArrayPool<byte>.Shared.Rent(ChunkPages * Page.Size);
        try
        {
            var pages = target.Memory.Length / Page.Size;
            for (var first = 0L; first < pages;)
            {
                var run = NextToFill(target, entryOf, ref first, pages);
                if (run.Count == 0)
                    continue;
                cancellationToken.ThrowIfCancellationRequested();
                var isZero = entryOf(run.First) == JournalEntry.Zero;
                var chunk = buffer.AsSpan(0, (int)run.Length);
                if (isZero)
                    chunk.Clear();
                else
                    input.ReadExactly(pagesOffset + run.Offset, chunk);
                wrong ??= Take(target, run, chunk, isZero, entryOf);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        return wrong;
    }

    /// <summary>The next pages of one sort that are not yet as they are to be.</summary>
    private static PageRun NextToFill(Target target, Func<long, UInt128> entryOf, ref long next, long pages)
    {
        while (next < pages && !target.Differs(next, entryOf(next)))
            next++;
        var first = next;
        var isZero = first < pages && entryOf(first) == JournalEntry.Zero;
        while (next < pages && next - first < ChunkPages && target.Differs(next, entryOf(next)) && (entryOf(next) == JournalEntry.Zero) == isZero)
            next++;
        return new PageRun(first, next - first);
    }

    private long? Take(Target target, PageRun run, ReadOnlySpan<byte> chunk, bool isZero, Func<long, UInt128> entryOf)
    {
        long? wrong = null;
        for (var i = 0; i < run.Count;)
        {
            var from = i;
            while (i < run.Count && (isZero || JournalEntry.OfContent(chunk.Slice(i * Page.Size, Page.Size)) == entryOf(run.First + i)))
                i++;
            if (i > from)
            {
                target.Memory.Write((run.First + from) * Page.Size, chunk[(from * Page.Size)..(i * Page.Size)]);
                for (var page = run.First + from; page < run.First + i; page++)
                    target.Set(page, isZero ? JournalEntry.None : entryOf(page));
                Bytes += (i - from) * Page.Size;
            }
            else
            {
                wrong ??= run.First + i;
                i++;
            }
        }

        return wrong;
    }

    /// <summary>A RAMBlock to fill, and the entry of what each of its pages holds: none for a zero page.</summary>
    private sealed class Target(WaitingMemory memory)
    {
        public WaitingMemory Memory => memory;

        private PageHashes Held { get; } = new(memory.Length / Page.Size);

        public long HeldPages;

        public void Set(long page, UInt128 entry)
        {
            Interlocked.Add(ref HeldPages, (entry != JournalEntry.None ? 1 : 0) - (Held[page] != JournalEntry.None ? 1 : 0));
            Held[page] = entry;
        }

        public bool Differs(long page, UInt128 entry) =>
            entry == JournalEntry.Zero ? Held[page] != JournalEntry.None : entry != JournalEntry.None && Held[page] != entry;
    }
}

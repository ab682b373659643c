using System.IO.Hashing;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.MappedRam;

/// <summary>
/// Proves every page of an image, or of memory that was loaded from it, against the checksums that were written with it: a present
/// page has its hash, any other reads as zero. Structure is the business of <see cref="ImageVerifier"/>.
/// </summary>
/// <remarks>All reads of pages are whole pages into memory aligned to a page, so the input may read past the page cache.</remarks>
public static class DeepVerifier
{
    private const int MaxViolations = 100;

    private const int ExtentPages = 256;

    /// <summary>Compares all pages.</summary>
    /// <param name="image">The image, well-formed; read by several threads at a time. It stays open.</param>
    /// <param name="checksums">Its checksums; they stay open.</param>
    /// <param name="parallelism">How many threads read and hash.</param>
    /// <param name="progress">Is told the bytes of guest memory compared so far, by any of the threads.</param>
    /// <param name="cancellation">Ends it early.</param>
    /// <returns>What was found; the image is proven when nothing is bad.</returns>
    /// <exception cref="ImageFormatException">The image can't be read.</exception>
    /// <exception cref="JournalException">The checksums are damaged, incomplete, or of another image.</exception>
    /// <exception cref="IOException">The storage failed.</exception>
    /// <exception cref="OperationCanceledException">It was ended early.</exception>
    public static DeepVerification Verify(
        IImageInput image, IImageInput checksums, int parallelism, IProgress<long>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(image);
        var structure = MappedRamImage.Read(image);
        return Verify(structure, image.Length, imageId: null, new ImagePages(image, structure), checksums, parallelism, progress, cancellation);
    }

    /// <summary>Compares all pages, wherever they are.</summary>
    /// <param name="image">The structure of the image.</param>
    /// <param name="imageLength">Its length in bytes.</param>
    /// <param name="imageId">Its id, when that is known: checksums of another save of the same guest are then refused.</param>
    /// <param name="pages">Where the pages are read.</param>
    /// <param name="checksums">The image's checksums; they stay open.</param>
    /// <param name="parallelism">How many threads read and hash.</param>
    /// <param name="progress">Is told the bytes of guest memory compared so far, by any of the threads.</param>
    /// <param name="cancellation">Ends it early.</param>
    /// <returns>What was found; the pages are proven when nothing is bad.</returns>
    /// <exception cref="JournalException">The checksums are damaged, incomplete, or of another image.</exception>
    /// <exception cref="IOException">The storage failed.</exception>
    /// <exception cref="OperationCanceledException">It was ended early.</exception>
    public static DeepVerification Verify(
        MappedRamImage image, long imageLength, Guid? imageId, IPageSource pages, IImageInput checksums, int parallelism,
        IProgress<long>? progress = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentNullException.ThrowIfNull(pages);
        ArgumentNullException.ThrowIfNull(checksums);
        ArgumentOutOfRangeException.ThrowIfLessThan(parallelism, 1);
        var expected = new Expected(image, imageId);
        var end = JournalReader.Replay(checksums, expected);
        if (end.ImageLength is not { } length || end.IsTorn)
        {
            throw new JournalException(
                end.ValidLength, JournalRule.Incomplete, "the checksums don't end with their completion: they are cut, or a journal of an unfinished image");
        }

        return length == imageLength
            ? new Run(pages, image.Blocks, expected.State.Blocks, progress, cancellation).Verify(parallelism)
            : throw new JournalException(
                end.ValidLength, JournalRule.Mismatch, $"the checksums are of an image of {length} bytes, but this one has {imageLength}");
    }

    /// <summary>Takes the checksums in, if they are of this image, before memory is reserved for what they claim.</summary>
    private sealed class Expected(MappedRamImage image, Guid? imageId) : IJournalVisitor
    {
        public JournalState State { get; } = new();

        public void Identify(JournalIdentity identity)
        {
            var blocks = image.Blocks.Select(block => new JournalBlock(block.Layout.Name, block.Layout.PageCount));
            if (identity.LayoutDigest != LayoutDigest.Compute(image) || !identity.Blocks.SequenceEqual(blocks))
            {
                throw new JournalException(
                    JournalFormat.HeaderLength, JournalRule.Mismatch, $"the checksums are of an image with another layout, that of guest {identity.Guest}");
            }

            if (imageId is { } id && identity.ImageId != id)
            {
                throw new JournalException(
                    JournalFormat.HeaderLength, JournalRule.Mismatch, $"the checksums are of image {identity.ImageId}, not of {id}: of another save of guest {identity.Guest}");
            }

            State.Identify(identity);
        }

        public void Durable(int block, uint epoch, PageRun run, ReadOnlySpan<byte> hashes) => State.Durable(block, epoch, run, hashes);

        public void Zero(int block, uint epoch, PageRun run) => State.Zero(block, epoch, run);

        public void Invalidate(int block, PageRun run) => State.Invalidate(block, run);
    }

    /// <summary>The pages of the image itself.</summary>
    private sealed class ImagePages(IImageInput image, MappedRamImage structure) : IPageSource
    {
        public bool TryRead(int block, PageRun run, Span<byte> buffer)
        {
            var offset = structure.Blocks[block].Layout.PagesOffset + run.Offset;
            if (image is ISparseImageInput sparse && sparse.FindData(offset) >= offset + run.Length)
            {
                return false;
            }

            image.ReadExactly(offset, buffer);
            return true;
        }
    }

    private sealed class Run
    {
        private readonly IPageSource _pages;
        private readonly IReadOnlyList<MappedRamBlock> _blocks;
        private readonly IReadOnlyList<JournalBlockState> _expected;
        private readonly IProgress<long>? _progress;
        private readonly CancellationToken _cancellation;
        private readonly long[] _firstExtents;
        private readonly Lock _gate = new();
        private readonly List<PageViolation> _violations = [];
        private long _nextExtent;
        private long _done;
        private long _bad;
        private ExceptionDispatchInfo? _error;

        public Run(
            IPageSource pages, IReadOnlyList<MappedRamBlock> blocks, IReadOnlyList<JournalBlockState> expected, IProgress<long>? progress,
            CancellationToken cancellation)
        {
            _pages = pages;
            _blocks = blocks;
            _expected = expected;
            _progress = progress;
            _cancellation = cancellation;
            _firstExtents = new long[blocks.Count + 1];
            for (var i = 0; i < blocks.Count; i++)
            {
                // Made here, since the states are lazy and not made for several threads.
                _ = (expected[i].Durable, expected[i].Zero);
                _firstExtents[i + 1] = _firstExtents[i] + ((blocks[i].Layout.PageCount - 1) / ExtentPages) + 1;
            }
        }

        public DeepVerification Verify(int parallelism)
        {
            var threads = Enumerable.Range(0, (int)Math.Min(parallelism, _firstExtents[^1]))
                .Select(_ => new Thread(Work) { IsBackground = true, Name = "deep verify" })
                .ToList();
            threads.ForEach(thread => thread.Start());
            threads.ForEach(thread => thread.Join());
            _error?.Throw();
            return new DeepVerification(
                _blocks.Sum(block => block.Layout.PageCount), _bad, [.. _violations.OrderBy(violation => violation.Offset)]);
        }

        private void Work()
        {
            try
            {
                var memory = GC.AllocateUninitializedArray<byte>((ExtentPages + 1) * Page.Size, pinned: true);
                var misaligned = (int)(Marshal.UnsafeAddrOfPinnedArrayElement(memory, 0) & (Page.Size - 1));
                var buffer = memory.AsSpan((Page.Size - misaligned) % Page.Size, ExtentPages * Page.Size);
                while (Volatile.Read(ref _error) is null && Interlocked.Increment(ref _nextExtent) - 1 is var extent && extent < _firstExtents[^1])
                {
                    _cancellation.ThrowIfCancellationRequested();
                    var found = Array.BinarySearch(_firstExtents, extent);
                    var block = found >= 0 ? found : ~found - 1;
                    var first = (extent - _firstExtents[block]) * ExtentPages;
                    var run = new PageRun(first, Math.Min(ExtentPages, _blocks[block].Layout.PageCount - first));
                    Compare(block, run, buffer[..(int)run.Length]);
                    _progress?.Report(Interlocked.Add(ref _done, run.Length));
                }
            }
            catch (Exception e)
            {
                // The thread's owner throws it.
                Interlocked.CompareExchange(ref _error, ExceptionDispatchInfo.Capture(e), null);
            }
        }

        private void Compare(int block, PageRun run, Span<byte> buffer)
        {
            var (layout, shadow) = _blocks[block];
            var expected = _expected[block];
            var isHole = !_pages.TryRead(block, run, buffer);
            if (isHole && shadow.CountRange(run) > 0)
            {
                buffer.Clear();
            }

            for (var page = run.First; page < run.End; page++)
            {
                var content = buffer.Slice((int)(page - run.First) * Page.Size, Page.Size);
                var entry = expected[page];
                var fault = shadow[page]
                    ? FaultOfPresent(entry, content)
                    : entry == JournalEntry.None ? "the checksums say nothing of it"
                    : entry != JournalEntry.Zero ? "it has a hash in the checksums, but the shadow bitmap says that it is zero"
                    : !isHole && content.ContainsAnyExcept((byte)0) ? "it is a zero page, but doesn't read as zero"
                    : null;
                if (fault is not null)
                {
                    Report(new PageViolation(layout.PagesOffset + (page * Page.Size), layout.Name, page, fault));
                }
            }
        }

        private static string? FaultOfPresent(UInt128 entry, ReadOnlySpan<byte> content)
        {
            if (entry == JournalEntry.None)
            {
                return "the checksums say nothing of it";
            }

            if (entry == JournalEntry.Zero)
            {
                return "it is a zero page in the checksums, but the shadow bitmap says that it is present";
            }

            var hash = XxHash128.HashToUInt128(content);
            return hash == entry ? null : $"its hash is {hash:x32}, not {entry:x32}";
        }

        private void Report(PageViolation violation)
        {
            lock (_gate)
            {
                _bad++;
                if (_violations.Count < MaxViolations)
                {
                    _violations.Add(violation);
                }
            }
        }
    }
}

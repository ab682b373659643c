using System.IO.Hashing;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>
/// Copies one extent of a RAMBlock into the image: read once into a buffer, then zero test, hash and write exactly the buffer's
/// bytes, so that what was hashed is what was written even while the guest runs. One for each writer thread; allocates nothing
/// per extent.
/// </summary>
internal sealed class ExtentCopier(ImageFile image, int extentPages, Action<int> throttle) : IDisposable
{
    private readonly AlignedBuffer _buffer = new(extentPages * Page.Size);
    private readonly UInt128[] _hashes = new UInt128[extentPages];
    private readonly ulong[] _zeroMask = new ulong[(extentPages + 63) / 64];

    /// <summary>Copies the pages and settles them with their block.</summary>
    /// <param name="block">Their RAMBlock.</param>
    /// <param name="run">The pages, no more than an extent.</param>
    public void Copy(BlockEngine block, PageRun run)
    {
        var buffer = _buffer.Span[..(int)run.Length];
        block.Memory.Read(run.Offset, buffer);
        var anyZero = Examine(buffer);
        var written = 0L;
        for (var from = 0; NextSegment(ref from, (int)run.Count, out var first, out var count);)
        {
            var bytes = buffer.Slice(first * Page.Size, count * Page.Size);
            throttle(bytes.Length);
            image.WritePages(bytes, block.Layout.PagesOffset + run.Offset + ((long)first * Page.Size));
            written += bytes.Length;
        }

        if (anyZero)
            ZeroStalePages(block, run);
        block.Settle(new ExtentOutcome(run, _zeroMask, _hashes, written));
    }

    public void Dispose() => _buffer.Dispose();

    private bool Examine(ReadOnlySpan<byte> pages)
    {
        Array.Clear(_zeroMask);
        var any = false;
        for (var i = 0; i * Page.Size < pages.Length; i++)
        {
            var page = pages.Slice(i * Page.Size, Page.Size);
            if (page.ContainsAnyExcept((byte)0))
            {
                _hashes[i] = XxHash128.HashToUInt128(page);
            }
            else
            {
                _zeroMask[i / 64] |= 1UL << (i % 64);
                any = true;
            }
        }

        return any;
    }

    private bool IsZero(int page) => (_zeroMask[page / 64] >> (page % 64) & 1) != 0;

    /// <summary>The next pages to write as one: from a page that is not zero to one that is not zero, with gaps of a few zero pages.</summary>
    private bool NextSegment(ref int from, int end, out int first, out int count)
    {
        first = from;
        while (first < end && IsZero(first))
            first++;
        var last = first;
        for (var page = first; page < end && page - last - 1 <= BlockEngine.GapPages; page++)
        {
            if (!IsZero(page))
                last = page;
        }

        from = last + 1;
        count = last + 1 - first;
        return first < end;
    }

    private void ZeroStalePages(BlockEngine block, PageRun run)
    {
        for (var page = 0; page < run.Count;)
        {
            var first = page;
            while (page < run.Count && IsZero(page))
                page++;
            if (page > first)
                block.ZeroOnFile(new PageRun(run.First + first, page - first), image);
            else
                page++;
        }
    }
}

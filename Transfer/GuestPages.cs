using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>The pages of a stopped guest. What its memory tells to be a hole is not read, since that could make the host allocate it.</summary>
/// <param name="memories">The memory of each RAMBlock, in the image's order.</param>
internal sealed class GuestPages(IReadOnlyList<IGuestMemory> memories) : IPageSource
{
    private readonly PageRun[][] _data = [.. memories.Select(memory => memory.DataRuns().ToArray())];

    public bool TryRead(int block, PageRun run, Span<byte> buffer)
    {
        var behind = run.First;
        foreach (var data in _data[block].AsSpan(FirstEndingAfter(_data[block], run.First)..))
        {
            var part = Common(data, run);
            if (part.Count <= 0)
                break;
            Bytes(new PageRun(behind, part.First - behind), run, buffer).Clear();
            memories[block].Read(part.Offset, Bytes(part, run, buffer));
            behind = part.End;
        }

        if (behind == run.First)
            return false;
        Bytes(new PageRun(behind, run.End - behind), run, buffer).Clear();
        return true;
    }

    private static Span<byte> Bytes(PageRun part, PageRun run, Span<byte> buffer) =>
        buffer.Slice((int)(part.Offset - run.Offset), (int)part.Length);

    private static PageRun Common(PageRun one, PageRun other)
    {
        var first = Math.Max(one.First, other.First);
        return new PageRun(first, Math.Min(one.End, other.End) - first);
    }

    private static int FirstEndingAfter(PageRun[] runs, long page)
    {
        var (low, high) = (0, runs.Length);
        while (low < high)
        {
            var middle = (low + high) / 2;
            (low, high) = runs[middle].End > page ? (low, middle) : (middle + 1, high);
        }

        return low;
    }
}

using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>Pages as runs: what a bitmap has set, and what one list has and another has not.</summary>
internal static class PageRuns
{
    /// <summary>The parts of <paramref name="runs"/> that are in none of <paramref name="other"/>; both ascend.</summary>
    public static List<PageRun> Without(this List<PageRun> runs, IReadOnlyList<PageRun> other)
    {
        List<PageRun> rest = [];
        var next = 0;
        foreach (var run in runs)
        {
            var from = run.First;
            while (next < other.Count && other[next].End <= from)
                next++;
            for (var i = next; from < run.End; i++)
            {
                var end = i < other.Count ? Math.Min(other[i].First, run.End) : run.End;
                if (end > from)
                    rest.Add(new PageRun(from, end - from));
                if (i >= other.Count || other[i].First >= run.End)
                    break;
                from = other[i].End;
            }
        }

        return rest;
    }

    /// <summary>The runs of set bits within a range.</summary>
    public static List<PageRun> SetRuns(this PageBitmap bitmap, PageRun range) => [.. bitmap.EachSetRun(range)];

    /// <summary>The runs of set bits, one after the other; those that were handed out may be cleared meanwhile.</summary>
    public static IEnumerable<PageRun> EachSetRun(this PageBitmap bitmap, PageRun range)
    {
        // As many as are left, as in TryFindRun.
        var left = bitmap.CountRange(range);
        for (var from = range.First; left > 0 && bitmap.TryFindSetRun(from, left, out var run); left -= run.Count)
        {
            from = run.End;
            yield return run;
        }
    }

    /// <summary>The first run of set bits between two pages. Allocates nothing, for the copy loop.</summary>
    public static bool TryFindRun(this PageBitmap bitmap, long from, long end, out PageRun run)
    {
        // As many as are there: so the run never goes on, and the search never looks, behind the end.
        var count = bitmap.CountRange(new PageRun(from, end - from));
        run = default;
        return count > 0 && bitmap.TryFindSetRun(from, count, out run);
    }
}

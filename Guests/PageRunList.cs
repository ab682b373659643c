using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>Turns ascending byte ranges of a RAMBlock into page runs that touch nowhere.</summary>
internal sealed class PageRunList(long length)
{
    private readonly List<PageRun> _runs = [];

    /// <summary>What was added so far.</summary>
    public IReadOnlyList<PageRun> Runs => _runs;

    /// <summary>One run of a RAMBlock's all pages.</summary>
    public static IReadOnlyList<PageRun> Whole(long length) => length == 0 ? [] : [new PageRun(0, Pages(length))];

    /// <summary>Adds a byte range, rounded outward to pages; it must not start before an earlier one.</summary>
    public void Add(long start, long end)
    {
        var first = start / Page.Size;
        var behind = Math.Min(Pages(end), Pages(length));
        if (behind <= first || end <= start)
            return;
        if (_runs.Count > 0 && _runs[^1] is var last && last.First + last.Count >= first)
            _runs[^1] = new PageRun(last.First, Math.Max(last.First + last.Count, behind) - last.First);
        else
            _runs.Add(new PageRun(first, behind - first));
    }

    private static long Pages(long bytes) => (bytes + Page.Size - 1) / Page.Size;
}

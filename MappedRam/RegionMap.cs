namespace DistMigrate.MappedRam;

/// <summary>Which bytes of an image belong to what.</summary>
internal sealed class RegionMap
{
    private readonly List<Region> _regions = [];

    /// <summary>Where the first region behind <paramref name="offset"/> starts, or -1.</summary>
    public long NextStart(long offset) =>
        _regions.Where(region => region.Start >= offset).Select(region => region.Start).DefaultIfEmpty(-1).Min();

    public void Add(long start, long length, string what)
    {
        if (length > 0)
        {
            _regions.Add(new Region(start, start + length, what));
        }
    }

    /// <summary>Each region that starts inside another one, with the one that reaches furthest into it.</summary>
    public IEnumerable<(Region Outer, Region Inner)> Overlaps()
    {
        Region? reaching = null;
        foreach (var region in Sorted())
        {
            if (reaching is { } outer && region.Start < outer.End)
            {
                yield return (outer, region);
            }

            if (reaching is not { } longest || region.End > longest.End)
            {
                reaching = region;
            }
        }
    }

    /// <summary>The regions that share a byte with [start, end).</summary>
    public IEnumerable<Region> Overlapping(long start, long end) =>
        _regions.Where(region => region.Start < end && start < region.End);

    /// <summary>The stretches between the regions.</summary>
    public IEnumerable<(long Start, long End)> Gaps()
    {
        var end = 0L;
        foreach (var region in Sorted())
        {
            if (region.Start > end)
            {
                yield return (end, region.Start);
            }

            end = Math.Max(end, region.End);
        }
    }

    private IEnumerable<Region> Sorted() => _regions.OrderBy(region => region.Start);

    public readonly record struct Region(long Start, long End, string What);
}

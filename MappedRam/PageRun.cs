namespace DistMigrate.MappedRam;

/// <summary>Consecutive pages of one RAMBlock.</summary>
/// <param name="First">The first page's number, counted from the start of the RAMBlock.</param>
/// <param name="Count">How many pages; a run of zero pages is empty.</param>
public readonly record struct PageRun(long First, long Count)
{
    /// <summary>The number of the page behind the last one.</summary>
    public long End => First + Count;

    /// <summary>Where the run starts, in bytes from the start of the RAMBlock.</summary>
    public long Offset => First << Page.Shift;

    /// <summary>The run's length in bytes.</summary>
    public long Length => Count << Page.Shift;
}

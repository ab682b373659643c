namespace DistMigrate.Transfer;

/// <summary>What a block engine does now.</summary>
public enum BlockState
{
    /// <summary>Set up; nothing is being written.</summary>
    Ready,

    /// <summary>Writers take pages from it.</summary>
    Iterating,

    /// <summary>No page is dirty or in flight.</summary>
    Clean,

    /// <summary>A read or write failed; see the error.</summary>
    Failed,

    /// <summary>Its shadow bitmap was handed over.</summary>
    Completed,

    /// <summary>Stopped for good.</summary>
    Cancelled,
}

/// <summary>A block engine at one moment. The four page states add up to the block's pages: dirty + in flight + written + durable.</summary>
/// <param name="State">What it does.</param>
/// <param name="Dirty">Pages to be written.</param>
/// <param name="InFlight">Pages being read and written.</param>
/// <param name="Written">Pages written since the last good fsync.</param>
/// <param name="Durable">Pages that a good fsync covers.</param>
/// <param name="Zero">Pages that are zero, among the written and durable ones.</param>
/// <param name="First">Pages written for the first time.</param>
/// <param name="Redirtied">Pages written again because the guest changed them.</param>
/// <param name="Resumed">Pages written again because an earlier write of them failed or was not known to be durable.</param>
/// <param name="Duplicate">Zero pages found, repeats counted.</param>
/// <param name="WrittenBytes">Bytes given to pwrite, small gaps included.</param>
/// <param name="Errors">Reads and writes that failed.</param>
/// <param name="LateWrites">Writes that returned after the bitmaps were handed over or given up, and were refused.</param>
/// <param name="Iteration">The iteration under way or last finished.</param>
/// <param name="Failed">Pages that wait to be written again because a write of them failed or its outcome is not known.</param>
/// <param name="Error">The first failure of the iteration.</param>
public sealed record BlockCounters(
    BlockState State, long Dirty, long InFlight, long Written, long Durable, long Zero,
    long First, long Redirtied, long Resumed, long Duplicate, long WrittenBytes, long Errors, long LateWrites, int Iteration,
    long Failed, Exception? Error)
{
    /// <summary>Pages written, repeats counted.</summary>
    public long Normal => First + Redirtied + Resumed;
}

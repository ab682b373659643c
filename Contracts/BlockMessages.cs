namespace DistMigrate.Contracts;

/// <summary>Pages of a RAMBlock by state. A page is in exactly one, so the four add up to the block's pages.</summary>
/// <param name="Dirty">To be written.</param>
/// <param name="InFlight">Being read and written now.</param>
/// <param name="Written">Written, but not yet covered by a good fsync.</param>
/// <param name="Durable">Covered by a good fsync.</param>
/// <param name="Zero">Zero pages; they count in <paramref name="Written"/> or <paramref name="Durable"/> as well.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.PageCounts")]
public sealed record PageCounts(
    [property: Id(0)] long Dirty,
    [property: Id(1)] long InFlight,
    [property: Id(2)] long Written,
    [property: Id(3)] long Durable,
    [property: Id(4)] long Zero)
{
    /// <summary>Pages of the block.</summary>
    public long Total => Dirty + InFlight + Written + Durable;
}

/// <summary>Pages written, by why they were: repeats counted, so the three add up to the block's normal pages.</summary>
/// <param name="First">For the first time.</param>
/// <param name="Redirtied">Again, because the guest changed them.</param>
/// <param name="Resumed">Again, because an earlier write of them failed or was not known to be durable.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.WrittenPages")]
public sealed record WrittenPages(
    [property: Id(0)] long First,
    [property: Id(1)] long Redirtied,
    [property: Id(2)] long Resumed);

/// <summary>What a block does now.</summary>
[GenerateSerializer, Alias("distmigrate.BlockActivity")]
public enum BlockActivity
{
    /// <summary>No migration has set it up.</summary>
    Idle,

    /// <summary>Set up; nothing is being written.</summary>
    Ready,

    /// <summary>Writers take pages from it.</summary>
    Iterating,

    /// <summary>No dirty page is left.</summary>
    Clean,

    /// <summary>A write or read failed; the error says why.</summary>
    Failed,

    /// <summary>Its shadow bitmap has been handed to the image.</summary>
    Completed,

    /// <summary>Cancelled.</summary>
    Cancelled,

    /// <summary>A command on it is under way: its memory is compared with what was written, or its shadow bitmap is handed over.</summary>
    Syncing,
}

/// <summary>A RAMBlock at one moment.</summary>
/// <param name="Name">QEMU's name of it.</param>
/// <param name="Activity">What it does now.</param>
/// <param name="UsedLength">Its size in bytes.</param>
/// <param name="Pages">Its pages by state.</param>
/// <param name="Normal">Pages written, repeats counted.</param>
/// <param name="Duplicate">Zero pages found, repeats counted.</param>
/// <param name="WrittenBytes">Bytes given to pwrite, small gaps included.</param>
/// <param name="Errors">Reads and writes that failed.</param>
/// <param name="Iteration">The iteration that it works on or finished.</param>
/// <param name="Memory">How its memory is read: shared-file, memfd or private.</param>
/// <param name="Reason">Why it failed.</param>
/// <param name="Error">The failure in one sentence; empty when there was none.</param>
/// <param name="WrittenPages">Its normal pages by why they were written.</param>
/// <param name="FailedPages">Pages that wait to be written again because a write of them failed or its outcome is not known.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.BlockStatus")]
public sealed record BlockStatus(
    [property: Id(0)] string Name,
    [property: Id(1)] BlockActivity Activity,
    [property: Id(2)] long UsedLength,
    [property: Id(3)] PageCounts Pages,
    [property: Id(4)] long Normal,
    [property: Id(5)] long Duplicate,
    [property: Id(6)] long WrittenBytes,
    [property: Id(7)] long Errors,
    [property: Id(8)] int Iteration,
    [property: Id(9)] string Memory,
    [property: Id(10)] FailureReason Reason,
    [property: Id(11)] string Error,
    [property: Id(12)] WrittenPages WrittenPages,
    [property: Id(13)] long FailedPages);

/// <summary>Which block command of which migration this is; a command with the same values again changes nothing.</summary>
/// <param name="MigrationId">The migration.</param>
/// <param name="Token">Of the coordinator in charge.</param>
/// <param name="Iteration">Counts from 1; 0 outside iterations.</param>
/// <param name="Slice">How long the call may wait for the work to end before it answers with the state so far.</param>
/// <param name="Incarnation">The attempt that was opened or resumed; a command on any other is refused as of a silo that has restarted.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.BlockCommand")]
public sealed record BlockCommand(
    [property: Id(0)] string MigrationId,
    [property: Id(1)] FencingToken Token,
    [property: Id(2)] int Iteration,
    [property: Id(3)] TimeSpan Slice,
    [property: Id(4)] Guid Incarnation = default);

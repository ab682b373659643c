namespace DistMigrate.Contracts;

/// <summary>QEMU's counters of a migration's RAM (<c>MigrationStats</c> of qapi/migration.json), with its names.</summary>
/// <param name="Total">Bytes of guest RAM that the migration covers.</param>
/// <param name="Transferred">Bytes written to the image, headers and device state included.</param>
/// <param name="Remaining">Bytes of pages that are not yet written.</param>
/// <param name="Durable">Bytes of pages whose content a good fsync covers; zero pages count as soon as they read as zero.</param>
/// <param name="Duplicate">Zero pages found, repeats counted.</param>
/// <param name="Normal">Pages written, repeats counted.</param>
/// <param name="DirtySyncCount">Times the dirty bitmaps were synchronised.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.RamCounters")]
public sealed record RamCounters(
    [property: Id(0)] long Total,
    [property: Id(1)] long Transferred,
    [property: Id(2)] long Remaining,
    [property: Id(3)] long Durable,
    [property: Id(4)] long Duplicate,
    [property: Id(5)] long Normal,
    [property: Id(6)] int DirtySyncCount)
{
    /// <summary>All zero.</summary>
    public static RamCounters Empty { get; } = new(0, 0, 0, 0, 0, 0, 0);

    /// <summary>Bytes of the pages counted in <see cref="Normal"/>.</summary>
    public long NormalBytes => Normal * 4096;
}

/// <summary>How a live save goes on.</summary>
/// <param name="Iteration">The pass over the guest's memory, from 1.</param>
/// <param name="DirtyBytesPerSecond">How fast the guest changes its memory.</param>
/// <param name="WriteBytesPerSecond">How fast that is written.</param>
/// <param name="Remaining">Bytes of pages that are to be written, as far as is known.</param>
/// <param name="ExpectedDowntime">How long the guest would stand still if it were stopped now.</param>
/// <param name="AllowedDowntime">How long it may; null for as long as it takes.</param>
/// <param name="ThrottlePercent">How much of the guest's CPU time QEMU takes away so that it changes less; 0 when none.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.ConvergenceStatus")]
public sealed record ConvergenceStatus(
    [property: Id(0)] int Iteration,
    [property: Id(1)] double DirtyBytesPerSecond,
    [property: Id(2)] double WriteBytesPerSecond,
    [property: Id(3)] long Remaining,
    [property: Id(4)] TimeSpan ExpectedDowntime,
    [property: Id(5)] TimeSpan? AllowedDowntime,
    [property: Id(6)] int ThrottlePercent = 0);

/// <summary>One of the things that a guest stood still for.</summary>
/// <param name="Name">Such as <c>stream</c>, <c>compare</c>, <c>device-state</c>, <c>write</c>, <c>publish</c>; at the target of a move
/// <c>preload</c>, <c>load</c>, <c>proof</c>, <c>run</c>.</param>
/// <param name="Time">How long.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.DowntimePart")]
public sealed record DowntimePart([property: Id(0)] string Name, [property: Id(1)] TimeSpan Time);

/// <summary>A migration at one moment.</summary>
/// <param name="Spec">What was asked, by whom it runs.</param>
/// <param name="Revision">Grows with every change; a watcher passes it back to wait for the next one.</param>
/// <param name="Phase">Where it stands.</param>
/// <param name="Reason">Why it failed; <see cref="FailureReason.None"/> otherwise.</param>
/// <param name="Message">One sentence for the operator: what happens, or what happened, why, and what to do.</param>
/// <param name="Started">When it left the queue.</param>
/// <param name="Ended">When it ended.</param>
/// <param name="PhaseSince">Since when it is in this phase.</param>
/// <param name="QueuePosition">1 for the next to start; 0 when it is not queued.</param>
/// <param name="Ram">Its counters.</param>
/// <param name="BytesPerSecond">Bytes of pages written per second since the copy began.</param>
/// <param name="Downtime">How long the guest has been, or was, stopped by us.</param>
/// <param name="GuestState">The guest's run state in QEMU's words, as last seen.</param>
/// <param name="Notes">What the operator should know beside the outcome, such as what could not be checked.</param>
/// <param name="Trouble">What is wrong with the storage while writes are tried again or the migration is paused; null when nothing is.</param>
/// <param name="Live">How a live save goes on while its guest runs; null when it is none.</param>
/// <param name="DowntimeParts">What the guest stood still for, one part after the other, as far as is known; of a restore, what its QEMU took from the load until it ran.</param>
/// <param name="Plan">What a plan found; null of every other migration, and before.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.MigrationStatus")]
public sealed record MigrationStatus(
    [property: Id(0)] MigrationSpec Spec,
    [property: Id(1)] long Revision,
    [property: Id(2)] MigrationPhase Phase,
    [property: Id(3)] FailureReason Reason,
    [property: Id(4)] string Message,
    [property: Id(5)] DateTimeOffset? Started,
    [property: Id(6)] DateTimeOffset? Ended,
    [property: Id(7)] DateTimeOffset PhaseSince,
    [property: Id(8)] int QueuePosition,
    [property: Id(9)] RamCounters Ram,
    [property: Id(10)] double BytesPerSecond,
    [property: Id(11)] TimeSpan Downtime,
    [property: Id(12)] string GuestState,
    [property: Id(13)] IReadOnlyList<string> Notes,
    [property: Id(14)] StorageTrouble? Trouble = null,
    [property: Id(15)] ConvergenceStatus? Live = null,
    [property: Id(16)] IReadOnlyList<DowntimePart>? DowntimeParts = null,
    [property: Id(17)] PlanReport? Plan = null);

/// <summary>One line of a list of migrations.</summary>
/// <param name="Spec">What was asked.</param>
/// <param name="Phase">Where it stands, as of the last phase change.</param>
/// <param name="Reason">Why it failed.</param>
/// <param name="Changed">When it came to this phase.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.MigrationSummary")]
public sealed record MigrationSummary(
    [property: Id(0)] MigrationSpec Spec,
    [property: Id(1)] MigrationPhase Phase,
    [property: Id(2)] FailureReason Reason,
    [property: Id(3)] DateTimeOffset Changed);

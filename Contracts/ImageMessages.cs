namespace DistMigrate.Contracts;

/// <summary>How far the image writer, or the loader of an image, is with what it was last asked.</summary>
[GenerateSerializer, Alias("distmigrate.HostStep")]
public enum HostStep
{
    /// <summary>Nothing of this migration is known here: it was never asked, or the silo has restarted since.</summary>
    Unknown,

    /// <summary>The command is under way; ask again.</summary>
    Working,

    /// <summary>The command is done.</summary>
    Done,

    /// <summary>It failed; the guest's run state is as it was.</summary>
    Failed,
}

/// <summary>The answer to every command to the image writer or the loader.</summary>
/// <param name="Step">How far it is.</param>
/// <param name="Reason">Why it failed.</param>
/// <param name="Message">What happens or happened, in one sentence.</param>
/// <param name="RamBlocks">Names of the guest's RAMBlocks, in the image's order; known once the image is open.</param>
/// <param name="OtherBytes">Bytes written outside the RAMBlocks' pages.</param>
/// <param name="Downtime">How long the guest has been, or was, stopped by us.</param>
/// <param name="GuestState">The guest's run state in QEMU's words, as last seen.</param>
/// <param name="Notes">What the operator should know beside the outcome.</param>
/// <param name="IsPublished">Whether the image stands under its final name.</param>
/// <param name="Trouble">What is wrong with the storage now; null when nothing is.</param>
/// <param name="TokenInForce">The number of the token that the image's journal obeys, as last seen; 0 when it was not.</param>
/// <param name="WasRunning">Whether the guest ran before we stopped it, so that it is to run again in the end.</param>
/// <param name="Source">What the source's host found out for the target of a move; null in every other answer.</param>
/// <param name="IsLive">Whether the guest runs while its pages are written; known once the image is open.</param>
/// <param name="Live">How a live save goes on; null when nothing is known of it.</param>
/// <param name="DowntimeParts">What the guest stood still for here, or a restore took, one part after the other; null when nothing is known of it.</param>
/// <param name="Preloaded">Bytes of pages that the waiting QEMU of a move holds already; null when it is not filled in advance.</param>
/// <param name="IsCompared">Whether the memory of a live guest is compared, although it was to be streamed.</param>
/// <param name="IsFillable">Whether the QEMU that waits for a guest can be filled in advance; null when that is not known.</param>
/// <param name="Incarnation">Tells this silo's attempt from that of any other silo of the host, before or after it.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.HostReply")]
public sealed record HostReply(
    [property: Id(0)] HostStep Step,
    [property: Id(1)] FailureReason Reason,
    [property: Id(2)] string Message,
    [property: Id(3)] IReadOnlyList<string> RamBlocks,
    [property: Id(4)] long OtherBytes,
    [property: Id(5)] TimeSpan Downtime,
    [property: Id(6)] string GuestState,
    [property: Id(7)] IReadOnlyList<string> Notes,
    [property: Id(8)] bool IsPublished,
    [property: Id(9)] StorageTrouble? Trouble = null,
    [property: Id(10)] long TokenInForce = 0,
    [property: Id(11)] bool WasRunning = true,
    [property: Id(12)] SourceReport? Source = null,
    [property: Id(13)] bool IsLive = false,
    [property: Id(14)] ConvergenceStatus? Live = null,
    [property: Id(15)] IReadOnlyList<DowntimePart>? DowntimeParts = null,
    [property: Id(16)] long? Preloaded = null,
    [property: Id(17)] bool IsCompared = false,
    [property: Id(18)] bool? IsFillable = null,
    [property: Id(19)] Guid Incarnation = default)
{
    /// <summary>Says that nothing of the migration is known here.</summary>
    public static HostReply Unknown { get; } =
        new(HostStep.Unknown, FailureReason.None, "", [], 0, TimeSpan.Zero, "", [], false);
}

/// <summary>A command to the image writer or the loader; the same command again changes nothing.</summary>
/// <param name="Spec">The migration.</param>
/// <param name="Token">Of the coordinator in charge.</param>
/// <param name="Slice">How long the call may wait for the work to end before it answers with the state so far.</param>
/// <param name="Attempt">Tells repeats of a command, of which the outcome is kept, from another try.</param>
/// <param name="Cause">Why an attempt is suspended.</param>
/// <param name="HasBegun">Whether the image was open before, so that what was written of it must be there.</param>
/// <param name="Source">What the source's host found out, for the target of a move.</param>
/// <param name="WasRunning">Whether the guest is to run once it is loaded.</param>
/// <param name="IsForced">Whether a person has decided who runs the guest, so that another's claim does not count.</param>
/// <param name="Budget">How long the guest may stand still at the end of a live save; null for as long as it takes.</param>
/// <param name="Holds">Whether the guest is not to be stopped yet, since the target of its move has not caught up.</param>
/// <param name="Incarnation">The attempt that was opened or resumed for this coordinator or an earlier one; a step on any other is answered as unknown.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.HostCommand")]
public sealed record HostCommand(
    [property: Id(0)] MigrationSpec Spec,
    [property: Id(1)] FencingToken Token,
    [property: Id(2)] TimeSpan Slice,
    [property: Id(3)] int Attempt = 0,
    [property: Id(4)] string Cause = "",
    [property: Id(5)] bool HasBegun = false,
    [property: Id(6)] SourceReport? Source = null,
    [property: Id(7)] bool WasRunning = true,
    [property: Id(8)] bool IsForced = false,
    [property: Id(9)] TimeSpan? Budget = null,
    [property: Id(10)] bool Holds = false,
    [property: Id(11)] Guid Incarnation = default);

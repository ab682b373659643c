using DistMigrate.Contracts;

namespace DistMigrate.Grains;

/// <summary>What the coordinator does next. The numbers are persisted; new steps get new numbers.</summary>
internal enum MigrationStep
{
    /// <summary>Nothing is known of this migration.</summary>
    None = 0,

    /// <summary>Waits for its turn.</summary>
    Queued = 1,

    /// <summary>Save: examine guest and storage, create the image; then set the blocks up.</summary>
    Open = 2,

    /// <summary>Save: stop the guest.</summary>
    Stop = 3,

    /// <summary>Save: the blocks write their pages.</summary>
    Copy = 4,

    /// <summary>Save: device state, and the epoch that makes every page durable.</summary>
    DeviceState = 5,

    /// <summary>Save: the blocks hand their shadow bitmaps over.</summary>
    HandOver = 6,

    /// <summary>Save: tail, check, publication.</summary>
    Publish = 7,

    /// <summary>Restore and move: check the image and load it.</summary>
    Load = 8,

    /// <summary>Restore the guest's run state and remove what was written.</summary>
    Abort = 9,

    /// <summary>The outcome is recorded; tell the others.</summary>
    Release = 10,

    /// <summary>Nothing is left to do.</summary>
    Ended = 11,

    /// <summary>Save: interrupt the attempt, restore the guest's run state, keep what was written.</summary>
    Suspend = 12,

    /// <summary>Save: wait until the storage takes writes again, or for the operator.</summary>
    Paused = 13,

    /// <summary>Save: take the interrupted attempt up again.</summary>
    Resume = 14,

    /// <summary>Save: find the pages that changed since they were written.</summary>
    Sync = 15,

    /// <summary>Save: do with the guest of the published image what was asked.</summary>
    TreatGuest = 16,

    /// <summary>That could not be done, or nobody can tell who runs the guest; wait for the operator.</summary>
    NeedsAttention = 17,

    /// <summary>Wait for the places that this migration needs besides that of its own host.</summary>
    Reserve = 18,

    /// <summary>Restore and move: see to it that a QEMU waits for the guest which fits.</summary>
    Prepare = 19,

    /// <summary>Restore and move: take the claim and let the loaded guest run.</summary>
    Run = 20,

    /// <summary>Move: the guest runs on the target; end the source's QEMU.</summary>
    EndSource = 21,

    /// <summary>Move: the guest will not run on the target; end that QEMU.</summary>
    EndTarget = 22,

    /// <summary>Move: the source takes the claim and goes on.</summary>
    TakeBack = 23,

    /// <summary>Move: nobody needs the image any longer.</summary>
    RemoveImage = 24,

    /// <summary>Live save by comparison: the blocks write their pages while the guest runs.</summary>
    Pass = 25,

    /// <summary>Live save by comparison: find the pages that the running guest has changed.</summary>
    Look = 26,

    /// <summary>Live save: stop the guest, take what is left, publish; where QEMU streams, from the stream's begin on.</summary>
    SwitchOver = 27,
}

/// <summary>The coordinator's persisted state: a few hundred bytes; bitmaps and journals lie beside the image.</summary>
[GenerateSerializer, Alias("distmigrate.MigrationState")]
internal sealed class MigrationState
{
    [Id(0)] public MigrationSpec? Spec { get; set; }

    [Id(1)] public MigrationStep Step { get; set; }

    [Id(2)] public MigrationPhase Phase { get; set; }

    [Id(3)] public FailureReason Reason { get; set; }

    [Id(4)] public string Message { get; set; } = "";

    [Id(5)] public FencingToken? Token { get; set; }

    [Id(6)] public DateTimeOffset? Started { get; set; }

    [Id(7)] public DateTimeOffset? Ended { get; set; }

    [Id(8)] public DateTimeOffset PhaseSince { get; set; }

    [Id(9)] public IReadOnlyList<string> RamBlocks { get; set; } = [];

    [Id(10)] public RamCounters Ram { get; set; } = RamCounters.Empty;

    [Id(11)] public double BytesPerSecond { get; set; }

    [Id(12)] public TimeSpan Downtime { get; set; }

    [Id(13)] public string GuestState { get; set; } = "";

    /// <summary>What the source's host has noted, as last told.</summary>
    [Id(14)] public IReadOnlyList<string> Notes { get; set; } = [];

    [Id(15)] public DateTimeOffset? CopyStarted { get; set; }

    [Id(16)] public IReadOnlyList<BlockStatus> Blocks { get; set; } = [];

    /// <summary>Counts the passes over the blocks from 1: one for each time that the copying was begun.</summary>
    [Id(17)] public int Iteration { get; set; } = 1;

    /// <summary>Counts the interruptions.</summary>
    [Id(18)] public int Attempt { get; set; }

    /// <summary>Interruptions and probes since pages last became durable.</summary>
    [Id(19)] public int Failures { get; set; }

    [Id(20)] public DateTimeOffset? NextTry { get; set; }

    [Id(21)] public StorageTrouble? Trouble { get; set; }

    [Id(22)] public long DurableBefore { get; set; }

    /// <summary>Whether the guest ran before we stopped it.</summary>
    [Id(23)] public bool WasRunning { get; set; } = true;

    /// <summary>Move: when the image was published; null before.</summary>
    [Id(24)] public DateTimeOffset? Published { get; set; }

    /// <summary>Move: since when the target's silo has not answered; null while it does.</summary>
    [Id(25)] public DateTimeOffset? TargetLostSince { get; set; }

    /// <summary>Move: the host that a person says is to run the guest; empty when nobody had to.</summary>
    [Id(26)] public string AdoptedBy { get; set; } = "";

    /// <summary>Move: whether the QEMU that does not run the guest is known to be gone, so that the image can go.</summary>
    [Id(27)] public bool IsImageFree { get; set; }

    /// <summary>Whether the guest runs while its pages are written.</summary>
    [Id(28)] public bool IsLive { get; set; }

    /// <summary>Live: how it goes on; null before that is known.</summary>
    [Id(29)] public ConvergenceStatus? Live { get; set; }

    /// <summary>Live: how long the guest may stand still at the end, as the policy has it by now; null for as long as it takes.</summary>
    [Id(30)] public TimeSpan? Budget { get; set; }

    /// <summary>Live: the iteration from which on the budget is judged anew.</summary>
    [Id(31)] public int JudgedAt { get; set; }

    /// <summary>Live: whether it is to end now, however long the guest stands still.</summary>
    [Id(32)] public bool MustComplete { get; set; }

    /// <summary>Live: switch-overs that were called off.</summary>
    [Id(33)] public int CalledOff { get; set; }

    /// <summary>What the guest stood still for at its source.</summary>
    [Id(34)] public IReadOnlyList<DowntimePart> SourceParts { get; set; } = [];

    /// <summary>What the guest of a move stood still for at its target.</summary>
    [Id(35)] public IReadOnlyList<DowntimePart> TargetParts { get; set; } = [];

    /// <summary>Live: whether memory is compared, although the guest was to be streamed.</summary>
    [Id(37)] public bool IsCompared { get; set; }

    /// <summary>Plan: what it found.</summary>
    [Id(38)] public PlanReport? Plan { get; set; }

    /// <summary>What the coordinator, or the target's host, has noted.</summary>
    [Id(39)] public IReadOnlyList<string> FurtherNotes { get; set; } = [];

    /// <summary>The host's attempt that was opened or resumed last.</summary>
    [Id(40)] public Guid Incarnation { get; set; }

    /// <summary>The place in the trace that its coordinator began; empty when nobody listened.</summary>
    [Id(36)] public string Trace { get; set; } = "";
}

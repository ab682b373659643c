using DistMigrate.Contracts;

namespace DistMigrate.Client;

/// <summary>The one table from reasons and phases to exit codes.</summary>
internal static class ExitCodes
{
    public static int Of(FailureReason reason) => reason switch
    {
        FailureReason.None => ExitCode.Ok,

        FailureReason.InvalidRequest => ExitCode.Usage,

        FailureReason.NotFound => ExitCode.NotFound,

        FailureReason.GuestUnreachable or
        FailureReason.NotQmp or
        FailureReason.GuestBlocked or
        FailureReason.GuestUnsupported or
        FailureReason.OutsideStorageRoots or
        FailureReason.ImageExists or
        FailureReason.ImageMismatch or
        FailureReason.ConsentNeeded => ExitCode.Refused,

        FailureReason.GuestBusy or
        FailureReason.ImageBusy or
        FailureReason.ClaimHeld or
        FailureReason.Fenced => ExitCode.Busy,

        FailureReason.ImageMalformed => ExitCode.Malformed,

        FailureReason.NoSpace or
        FailureReason.ReadOnlyStorage or
        FailureReason.StorageAccessDenied or
        FailureReason.StorageStalled or
        FailureReason.StorageError => ExitCode.Storage,

        FailureReason.NotConverging => ExitCode.NotConverging,

        FailureReason.PausedByOperator => ExitCode.Resumable,

        FailureReason.Cancelled => ExitCode.Cancelled,

        FailureReason.HostUnavailable or
        FailureReason.StateUnavailable => ExitCode.Unreachable,

        FailureReason.GuestExited or
        FailureReason.MonitorFailed or
        FailureReason.MemoryUnreadable or
        FailureReason.RamBlockResized or
        FailureReason.DeviceStateFailed or
        FailureReason.ImageReplaced or
        FailureReason.LoadFailed or
        FailureReason.LaunchFailed or
        FailureReason.SiloRestarted or
        FailureReason.Internal => ExitCode.Failed,

        _ => throw new ArgumentOutOfRangeException(nameof(reason), reason, "This reason has no exit code."),
    };

    /// <summary>The code for a migration that is not waited for any longer.</summary>
    public static int Of(MigrationStatus status) => status.Phase switch
    {
        MigrationPhase.Completed => ExitCode.Ok,
        MigrationPhase.Cancelled => ExitCode.Cancelled,
        MigrationPhase.Paused => ExitCode.Resumable,
        MigrationPhase.NeedsAttention => ExitCode.NeedsAttention,
        // A failure without a reason is still a failure.
        MigrationPhase.Failed => status.Reason == FailureReason.None ? ExitCode.Failed : OfReceived(status.Reason),
        _ => ExitCode.Ok,
    };

    /// <summary>The code for a reason that came over the wire; a newer silo may send one that this client does not know.</summary>
    public static int OfReceived(FailureReason reason) => Enum.IsDefined(reason) ? Of(reason) : ExitCode.Failed;
}

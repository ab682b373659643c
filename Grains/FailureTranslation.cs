using DistMigrate.Contracts;
using DistMigrate.Guests;
using DistMigrate.Posix;
using DistMigrate.Transfer;

namespace DistMigrate.Grains;

/// <summary>Turns the faults of the layers below into the closed list of reasons that crosses the wire.</summary>
internal static class FailureTranslation
{
    public static MigrationException Translate(Exception e) => e switch
    {
        MigrationException migration => migration,
        GuestException guest => new MigrationException(ReasonOf(guest.Fault), guest.Message),
        ImageException image => new MigrationException(ReasonOf(image.Fault), image.Message),
        ErrnoException errno => Translate(ImageException.From(errno)),
        UnauthorizedAccessException denied => new MigrationException(FailureReason.StorageAccessDenied, $"{denied.Message} Give the silo's user access."),
        IOException storage => new MigrationException(FailureReason.StorageError, $"{storage.Message} Look at the storage and the host's kernel log, then try again."),
        OperationCanceledException => new MigrationException(FailureReason.Cancelled, "It was cancelled."),
        _ => new MigrationException(FailureReason.Internal, $"A fault of DistMigrate ({e.GetType().Name}): {e.Message} The silo's log has more; please report it."),
    };

    /// <summary>Whether what is done is kept and may go on once the cause is gone.</summary>
    public static bool IsResumable(FailureReason reason) => reason is FailureReason.NoSpace or FailureReason.ReadOnlyStorage
        or FailureReason.StorageAccessDenied or FailureReason.StorageError or FailureReason.StorageStalled or FailureReason.SiloRestarted
        or FailureReason.PausedByOperator or FailureReason.Fenced;

    public static FailureReason ReasonOf(GuestFault fault) => fault switch
    {
        GuestFault.Unreachable => FailureReason.GuestUnreachable,
        GuestFault.NotQmp => FailureReason.NotQmp,
        GuestFault.Exited => FailureReason.GuestExited,
        GuestFault.CommandFailed or GuestFault.TimedOut => FailureReason.MonitorFailed,
        GuestFault.Blocked => FailureReason.GuestBlocked,
        GuestFault.Unsupported => FailureReason.GuestUnsupported,
        GuestFault.Busy => FailureReason.GuestBusy,
        GuestFault.MemoryUnreadable => FailureReason.MemoryUnreadable,
        GuestFault.DeviceState => FailureReason.DeviceStateFailed,
        GuestFault.LoadFailed => FailureReason.LoadFailed,
        GuestFault.Mismatch => FailureReason.RamBlockResized,
        GuestFault.Downtime => FailureReason.NotConverging,
        GuestFault.Launch => FailureReason.LaunchFailed,
        _ => FailureReason.Internal,
    };

    public static FailureReason ReasonOf(ImageFault fault) => fault switch
    {
        ImageFault.OutsideRoots => FailureReason.OutsideStorageRoots,
        ImageFault.NotFound => FailureReason.NotFound,
        ImageFault.Exists => FailureReason.ImageExists,
        ImageFault.Busy => FailureReason.ImageBusy,
        ImageFault.Fenced => FailureReason.Fenced,

        // Which an interruption finds out again, and goes on from there.
        ImageFault.Published => FailureReason.SiloRestarted,
        ImageFault.Replaced => FailureReason.ImageReplaced,
        ImageFault.Malformed => FailureReason.ImageMalformed,
        ImageFault.Mismatch => FailureReason.ImageMismatch,
        ImageFault.ClaimHeld => FailureReason.ClaimHeld,
        ImageFault.NoSpace => FailureReason.NoSpace,
        ImageFault.ReadOnly => FailureReason.ReadOnlyStorage,
        ImageFault.AccessDenied => FailureReason.StorageAccessDenied,
        ImageFault.NoDirectIo => FailureReason.InvalidRequest,
        ImageFault.Storage or ImageFault.Stale => FailureReason.StorageError,
        ImageFault.Stalled => FailureReason.StorageStalled,
        _ => FailureReason.Internal,
    };
}

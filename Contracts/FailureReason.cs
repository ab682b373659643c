namespace DistMigrate.Contracts;

/// <summary>
/// Why something was refused or failed. The list is closed: its members become metric labels and the command's exit codes,
/// while the sentence beside a reason says what happened and what to do.
/// </summary>
[GenerateSerializer, Alias("distmigrate.FailureReason")]
public enum FailureReason
{
    /// <summary>Nothing failed.</summary>
    None,

    /// <summary>A request does not make sense as it stands.</summary>
    InvalidRequest,

    /// <summary>No such migration, guest or image.</summary>
    NotFound,

    /// <summary>The guest's monitor socket does not exist or refuses connections.</summary>
    GuestUnreachable,

    /// <summary>What answers on the socket is not a QMP monitor, or another client holds it.</summary>
    NotQmp,

    /// <summary>The guest's QEMU ended while we needed it.</summary>
    GuestExited,

    /// <summary>QEMU itself says that the guest cannot be migrated.</summary>
    GuestBlocked,

    /// <summary>The guest has something that cannot be saved or loaded by us.</summary>
    GuestUnsupported,

    /// <summary>The guest is held by another migration, ours or QEMU's own.</summary>
    GuestBusy,

    /// <summary>A monitor command failed or took too long.</summary>
    MonitorFailed,

    /// <summary>Guest memory cannot be read.</summary>
    MemoryUnreadable,

    /// <summary>A RAMBlock came, went or changed its size during the migration.</summary>
    RamBlockResized,

    /// <summary>Device state could not be taken.</summary>
    DeviceStateFailed,

    /// <summary>The image path is not below a configured storage root.</summary>
    OutsideStorageRoots,

    /// <summary>The image exists already.</summary>
    ImageExists,

    /// <summary>Another migration owns the image.</summary>
    ImageBusy,

    /// <summary>The image was replaced or removed under us.</summary>
    ImageReplaced,

    /// <summary>The file is not a mapped-ram image, or is malformed.</summary>
    ImageMalformed,

    /// <summary>Image and target guest do not fit together.</summary>
    ImageMismatch,

    /// <summary>Somebody else holds the claim to run the guest from this image.</summary>
    ClaimHeld,

    /// <summary>No space or quota is left.</summary>
    NoSpace,

    /// <summary>The storage is read-only.</summary>
    ReadOnlyStorage,

    /// <summary>The storage refuses access.</summary>
    StorageAccessDenied,

    /// <summary>The storage failed in another way.</summary>
    StorageError,

    /// <summary>QEMU could not load the image.</summary>
    LoadFailed,

    /// <summary>The host's silo is not in the cluster.</summary>
    HostUnavailable,

    /// <summary>The silo ended while it worked on the migration.</summary>
    SiloRestarted,

    /// <summary>A newer coordinator took over.</summary>
    Fenced,

    /// <summary>The operator cancelled.</summary>
    Cancelled,

    /// <summary>A fault of ours.</summary>
    Internal,

    /// <summary>Writes to the storage do not return.</summary>
    StorageStalled,

    /// <summary>The operator paused the migration.</summary>
    PausedByOperator,

    /// <summary>The cluster's grain storage does not answer or takes nothing.</summary>
    StateUnavailable,

    /// <summary>A QEMU could not be launched, or ended before it waited for an image.</summary>
    LaunchFailed,

    /// <summary>The guest changes its memory faster than that can be written, so that it would stand still for longer than was allowed.</summary>
    NotConverging,

    /// <summary>The guest would stand still for longer than was asked for, and nobody has agreed to that.</summary>
    ConsentNeeded,
}

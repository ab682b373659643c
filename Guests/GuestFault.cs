namespace DistMigrate.Guests;

/// <summary>Why a guest could not be asked, read, saved or loaded. A closed list: each member becomes one reason for callers.</summary>
public enum GuestFault
{
    /// <summary>Nobody listens on the QMP socket, or it may not be opened.</summary>
    Unreachable,

    /// <summary>The socket answers something else than QMP, or nothing: a QMP socket serves one client at a time.</summary>
    NotQmp,

    /// <summary>QEMU is gone, or closed the connection.</summary>
    Exited,

    /// <summary>QEMU refused a command; <see cref="GuestException.QmpClass"/> and the message carry its words.</summary>
    CommandFailed,

    /// <summary>QEMU did not answer within the limit; the command may still take effect.</summary>
    TimedOut,

    /// <summary>QEMU itself says that this guest cannot be migrated (blocked-reasons).</summary>
    Blocked,

    /// <summary>The guest has something that cannot be saved truly, or is in a state that has nothing to save.</summary>
    Unsupported,

    /// <summary>A migration of this guest is already under way.</summary>
    Busy,

    /// <summary>The guest's memory may not, or cannot, be read.</summary>
    MemoryUnreadable,

    /// <summary>QEMU's device state did not arrive, or is not what the migration stream's grammar allows.</summary>
    DeviceState,

    /// <summary>The waiting QEMU refused the image; the message carries its reason.</summary>
    LoadFailed,

    /// <summary>The guest is not built like the one that the image was saved from.</summary>
    Mismatch,

    /// <summary>The guest would have stood still for longer than was allowed.</summary>
    Downtime,

    /// <summary>A QEMU could not be launched, or ended before it waited for an image.</summary>
    Launch,
}

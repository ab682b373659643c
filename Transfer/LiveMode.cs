namespace DistMigrate.Transfer;

/// <summary>How a save learns what a running guest changes.</summary>
public enum LiveMode
{
    /// <summary>Not at all: the guest is stopped before its pages are written.</summary>
    None,

    /// <summary>QEMU's precopy stream tells, by QEMU's own dirty log.</summary>
    Stream,

    /// <summary>Memory is compared with the hashes of what was written.</summary>
    Compare,

    /// <summary>It need not: QEMU sends what the guest held at one moment.</summary>
    Snapshot,
}

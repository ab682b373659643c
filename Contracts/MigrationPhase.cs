namespace DistMigrate.Contracts;

/// <summary>Where a migration stands. The first eight are QEMU's (<c>MigrationStatus</c> of qapi/migration.json); the rest are ours.</summary>
[GenerateSerializer, Alias("distmigrate.MigrationPhase")]
public enum MigrationPhase
{
    /// <summary>The guest and the storage are examined, the layout is computed and the headers are written. The guest runs.</summary>
    Setup,

    /// <summary>The RAMBlocks write their pages.</summary>
    Active,

    /// <summary>The guest is being stopped for the last pages.</summary>
    PreSwitchover,

    /// <summary>Device state, bitmaps and the tail are written, synced and published.</summary>
    Device,

    /// <summary>Done: the image is published, or the guest runs from it.</summary>
    Completed,

    /// <summary>Ended without result; the reason and what to do are in the status.</summary>
    Failed,

    /// <summary>The operator asked to cancel; the guest's run state is being restored.</summary>
    Cancelling,

    /// <summary>Ended by the operator.</summary>
    Cancelled,

    /// <summary>Waits for its turn on the host.</summary>
    Queued,

    /// <summary>Waits for storage or for the operator; the work done is kept.</summary>
    Paused,

    /// <summary>A waiting QEMU loads the image.</summary>
    Restoring,

    /// <summary>Nobody can tell who runs the guest, so it stays paused and a person decides.</summary>
    NeedsAttention,
}

/// <summary>Names and groups of phases.</summary>
public static class MigrationPhases
{
    /// <summary>Whether a migration in this phase has ended for good.</summary>
    public static bool IsEnd(this MigrationPhase phase) =>
        phase is MigrationPhase.Completed or MigrationPhase.Failed or MigrationPhase.Cancelled;

    /// <summary>The phase's name as QEMU and our output spell it, such as <c>pre-switchover</c>.</summary>
    public static string ToName(this MigrationPhase phase) => phase switch
    {
        MigrationPhase.PreSwitchover => "pre-switchover",
        MigrationPhase.NeedsAttention => "needs-attention",
        _ => phase.ToString().ToLowerInvariant(),
    };
}

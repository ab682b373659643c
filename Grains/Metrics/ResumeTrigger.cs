namespace DistMigrate.Grains.Metrics;

/// <summary>Why a save is taken up again.</summary>
internal enum ResumeTrigger
{
    /// <summary>The storage takes writes again.</summary>
    Automatic,

    /// <summary>The operator asked for it.</summary>
    Operator,

    /// <summary>The silo of the guest's host has restarted.</summary>
    SiloRestart,

    /// <summary>Another coordinator took over.</summary>
    Takeover,
}

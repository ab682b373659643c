namespace DistMigrate.Silo;

/// <summary>What is asked of <c>distmigrate-silo</c>.</summary>
internal enum SiloTask
{
    /// <summary>To be the silo.</summary>
    Run,

    /// <summary>To say what is wrong with the settings.</summary>
    CheckSettings,

    /// <summary>To print the reference of all settings.</summary>
    DescribeSettings,

    /// <summary>To print the reference of all metrics.</summary>
    DescribeMetrics,
}

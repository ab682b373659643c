namespace DistMigrate.Contracts;

/// <summary>Limits of a migration that can be changed while it runs.</summary>
/// <param name="MaxDowntime">How long the guest of a live save may stand still at its end; null leaves that as it is.</param>
/// <param name="BandwidthLimit">Bytes of guest pages written per second at most, 0 for no limit; null leaves that as it is.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.MigrationLimits")]
public sealed record MigrationLimits(
    [property: Id(0)] TimeSpan? MaxDowntime = null,
    [property: Id(1)] long? BandwidthLimit = null);

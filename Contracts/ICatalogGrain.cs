namespace DistMigrate.Contracts;

/// <summary>
/// Lists unfinished and recent migrations; a few of them, by shard number, so that no single grain sees every migration.
/// A migration is recorded here before it starts, so that a supervisor finds what a lost silo left unfinished.
/// </summary>
[Alias("distmigrate.ICatalogGrain")]
public interface ICatalogGrain : IGrainWithIntegerKey
{
    /// <summary>Records a migration, or its new phase.</summary>
    [Alias("Record")]
    Task Record(MigrationSummary summary);

    /// <summary>Unfinished migrations and the most recent ended ones, newest first.</summary>
    [Alias("List")]
    Task<IReadOnlyList<MigrationSummary>> List();
}

/// <summary>Where in the catalog a migration is recorded.</summary>
public static class CatalogShards
{
    /// <summary>Number of catalog grains, 0 to this less one.</summary>
    public const int Count = 8;

    /// <summary>The shard of a migration: a sum of the id's bytes, the same in every process and version.</summary>
    public static int ShardOf(string migrationId)
    {
        ArgumentException.ThrowIfNullOrEmpty(migrationId);
        var sum = 0;
        foreach (var c in migrationId)
            sum = (sum + c) % Count;
        return sum;
    }
}

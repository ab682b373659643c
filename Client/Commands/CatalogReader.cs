using DistMigrate.Client.Connection;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary>Reads the catalog of migrations from all its shards.</summary>
internal static class CatalogReader
{
    /// <summary>Unfinished and recent migrations of the cluster, newest first.</summary>
    public static async Task<IReadOnlyList<MigrationSummary>> ReadAsync(SiloConnection connection, CancellationToken cancellation)
    {
        var shards = await Task.WhenAll(Enumerable.Range(0, CatalogShards.Count).Select(shard => connection.CallAsync(
            grains => grains.GetGrain<ICatalogGrain>(shard).List(), cancellation)));
        var migrations = await Task.WhenAll(shards.SelectMany(shard => shard).Select(migration => RefreshAsync(connection, migration, cancellation)));
        return [.. migrations
            .OrderByDescending(migration => migration.Spec.Submitted)
            .ThenByDescending(migration => migration.Spec.Id, StringComparer.Ordinal)];
    }

    /// <summary>Asks the coordinator of an unfinished migration: the catalog may be some phases behind.</summary>
    private static async Task<MigrationSummary> RefreshAsync(
        SiloConnection connection, MigrationSummary migration, CancellationToken cancellation)
    {
        if (migration.Phase.IsEnd())
            return migration;
        try
        {
            var status = await connection.CallAsync(
                grains => grains.GetGrain<IMigrationGrain>(migration.Spec.Id).GetStatus(), cancellation);
            return migration with { Phase = status.Phase, Reason = status.Reason, Changed = status.PhaseSince };
        }
        catch (MigrationException)
        {
            // The coordinator does not know it (yet): what the catalog says is all there is.
            return migration;
        }
    }
}

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
        return [.. shards
            .SelectMany(shard => shard)
            .OrderByDescending(migration => migration.Spec.Submitted)
            .ThenByDescending(migration => migration.Spec.Id, StringComparer.Ordinal)];
    }
}

using DistMigrate.Contracts;

namespace DistMigrate.Grains;

/// <summary>All that the catalog's grains know, together.</summary>
internal static class WholeCatalog
{
    /// <summary>The unfinished and recent migrations of the cluster.</summary>
    /// <exception cref="OrleansException">A catalog grain cannot be reached.</exception>
    /// <exception cref="TimeoutException">One does not answer.</exception>
    public static async Task<IReadOnlyList<MigrationSummary>> ReadAsync(IGrainFactory grains)
    {
        var shards = await Task.WhenAll(Enumerable.Range(0, CatalogShards.Count).Select(shard => grains.GetGrain<ICatalogGrain>(shard).List()));
        return [.. shards.SelectMany(shard => shard)];
    }
}

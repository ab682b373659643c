using Orleans.Concurrency;

namespace DistMigrate.Contracts;

/// <summary>One host of the cluster, by its configured name: admits, queues and starts the migrations that run there.</summary>
[Alias("distmigrate.IHostGrain")]
public interface IHostGrain : IGrainWithStringKey
{
    /// <summary>Admits a migration: checks the request, records it in the catalog, and starts or queues it.</summary>
    /// <param name="request">What to do.</param>
    /// <param name="id">The id it shall have, made by the caller, so that a call repeated after a time-out starts nothing twice.</param>
    /// <exception cref="MigrationException">The request makes no sense, or names an unknown guest or a path outside the storage roots.</exception>
    [Alias("Submit")]
    Task<MigrationSpec> Submit(MigrationRequest request, string id);

    /// <summary>Takes an incoming place for a move that comes here, or queues it. Repeats change nothing; ask again until the place is held.
    /// The migration is not started from here.</summary>
    /// <returns>0 when it holds a place, else its position: 1 for the next.</returns>
    /// <exception cref="MigrationException">Another migration works on a guest of that name here, or uses that image; or grain storage does not
    /// answer.</exception>
    [Alias("Reserve")]
    Task<int> Reserve(MigrationSpec spec);

    /// <summary>A coordinator tells that its migration has ended, so that the next one may have its place. It does not wait: a host that
    /// misses the call notices by itself.</summary>
    [OneWay, Alias("Ended")]
    Task Ended(string migrationId);

    /// <summary>Takes a migration out that waits for a place, outgoing or incoming.</summary>
    /// <returns>False when it is not queued here.</returns>
    [Alias("Withdraw")]
    Task<bool> Withdraw(string migrationId);

    /// <summary>The host as it is now.</summary>
    [AlwaysInterleave, Alias("GetStatus")]
    Task<HostStatus> GetStatus();

    /// <summary>Partial images and side files below the storage roots that no migration finished or removed.</summary>
    /// <exception cref="MigrationException">The storage did not answer in time.</exception>
    [AlwaysInterleave, Alias("FindLeftovers")]
    Task<IReadOnlyList<Leftover>> FindLeftovers();

    /// <summary>Removes leftovers that no migration owns.</summary>
    /// <param name="paths">Paths as <see cref="FindLeftovers"/> gave them.</param>
    /// <returns>What became of each.</returns>
    [AlwaysInterleave, Alias("RemoveLeftovers")]
    Task<IReadOnlyList<Leftover>> RemoveLeftovers(IReadOnlyList<string> paths);

    /// <summary>Position of a queued migration among those of its direction, 1 for the next; 0 when it is not queued.</summary>
    [AlwaysInterleave, Alias("GetQueuePosition")]
    Task<int> GetQueuePosition(string migrationId);
}

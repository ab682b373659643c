using Orleans.Concurrency;

namespace DistMigrate.Contracts;

/// <summary>
/// One storage root, by its path with every link followed: limits the migrations of the whole cluster that use it. Hosts that mount the same
/// storage under the same path share it, as they must to move guests through it.
/// </summary>
[Alias("distmigrate.IStorageGrain")]
public interface IStorageGrain : IGrainWithStringKey
{
    /// <summary>Takes a place for a migration, or queues it. Repeats change nothing; ask again until the place is held.</summary>
    /// <returns>0 when it holds a place, else its position: 1 for the next.</returns>
    /// <exception cref="MigrationException">Grain storage does not answer.</exception>
    [Alias("Reserve")]
    Task<int> Reserve(MigrationSpec spec);

    /// <summary>A migration that holds a place or waits for one has ended. The call does not wait: when it is lost, the place is given
    /// back a little later.</summary>
    [OneWay, Alias("Ended")]
    Task Ended(string migrationId);

    /// <summary>Who holds its places and who waits.</summary>
    [AlwaysInterleave, Alias("GetStatus")]
    Task<StorageStatus> GetStatus();
}

/// <summary>A storage root and the migrations that use it.</summary>
/// <param name="Path">The folder.</param>
/// <param name="Limit">Places.</param>
/// <param name="Places">The migrations that hold them, oldest first, and those that wait, the next one first.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.StorageStatus")]
public sealed record StorageStatus(
    [property: Id(0)] string Path,
    [property: Id(1)] int Limit,
    [property: Id(2)] IReadOnlyList<QueueEntry> Places);

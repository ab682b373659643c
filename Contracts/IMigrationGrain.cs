using Orleans.Concurrency;

namespace DistMigrate.Contracts;

/// <summary>
/// The coordinator of one migration, by its id: a persisted state machine that sequences setup, iterate and complete.
/// It may run on any host; no guest page ever passes through it.
/// </summary>
[Alias("distmigrate.IMigrationGrain")]
public interface IMigrationGrain : IGrainWithStringKey
{
    /// <summary>Records an admitted migration as queued. Repeats change nothing.</summary>
    [Alias("Enqueue")]
    Task Enqueue(MigrationSpec spec);

    /// <summary>Leaves the queue. Repeats change nothing. The call does not wait, because a migration that has started may be waiting for a host,
    /// perhaps the one that calls; whoever starts it looks later whether it has started, and tells it again.</summary>
    [OneWay, Alias("Start")]
    Task Start();

    /// <summary>Goes on with an unfinished migration after a silo was lost; a queued one stays queued. Repeats change nothing.</summary>
    [Alias("EnsureRunning")]
    Task EnsureRunning();

    /// <summary>Asks to cancel; valid in every phase and any number of times. The guest's run state is restored.</summary>
    /// <exception cref="MigrationException">No such migration.</exception>
    [AlwaysInterleave, Alias("Cancel")]
    Task<MigrationStatus> Cancel();

    /// <summary>Asks to pause: the writers stop, the guest gets its run state back, the work done is kept. Nothing goes on before
    /// <see cref="Resume"/>. Of no effect on a migration that has ended.</summary>
    /// <exception cref="MigrationException">No such migration, or one that cannot be paused: a restore, a queued one.</exception>
    [AlwaysInterleave, Alias("Pause")]
    Task<MigrationStatus> Pause();

    /// <summary>Goes on at once with a paused migration, or tries again to treat the guest of a published image as asked. Of no
    /// effect on one that runs.</summary>
    /// <exception cref="MigrationException">No such migration, or one that has ended.</exception>
    [AlwaysInterleave, Alias("Resume")]
    Task<MigrationStatus> Resume();

    /// <summary>Ends a live save now, however long the guest stands still for it. Of no effect on one that is at its end.</summary>
    /// <exception cref="MigrationException">No such migration, or one whose guest does not run meanwhile.</exception>
    [AlwaysInterleave, Alias("Complete")]
    Task<MigrationStatus> Complete();

    /// <summary>Changes the limits of a save or move while it runs.</summary>
    /// <exception cref="MigrationException">No such migration, one that writes nothing any more, or limits that make no sense for it.</exception>
    [AlwaysInterleave, Alias("SetLimits")]
    Task<MigrationStatus> SetLimits(MigrationLimits limits);

    /// <summary>Says who is to run the guest of a move that needs attention, because nobody but a person can tell. The other side
    /// must have been seen to.</summary>
    /// <param name="host">The move's source or target.</param>
    /// <exception cref="MigrationException">No such migration, one that does not wait for that, or another host.</exception>
    [AlwaysInterleave, Alias("Adopt")]
    Task<MigrationStatus> Adopt(string host);

    /// <summary>Removes what is known of a migration that has ended; of no effect on any other. The call does not wait.</summary>
    [OneWay, Alias("Forget")]
    Task Forget();

    /// <summary>The migration as it is now. Always answers, also while storage hangs.</summary>
    /// <exception cref="MigrationException">No such migration.</exception>
    [AlwaysInterleave, Alias("GetStatus")]
    Task<MigrationStatus> GetStatus();

    /// <summary>Waits until the migration differs from what the caller saw, or the time is over.</summary>
    /// <param name="afterRevision">The revision last seen; 0 for none.</param>
    /// <param name="limit">At most 5 s.</param>
    /// <exception cref="MigrationException">No such migration.</exception>
    [AlwaysInterleave, Alias("WaitForChange")]
    Task<MigrationStatus> WaitForChange(long afterRevision, TimeSpan limit);

    /// <summary>Its RAMBlocks, in the image's order; empty before they are known.</summary>
    /// <exception cref="MigrationException">No such migration.</exception>
    [AlwaysInterleave, Alias("GetBlocks")]
    Task<IReadOnlyList<BlockStatus>> GetBlocks();
}

using DistMigrate.Client.Connection;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Watching;

/// <summary>Follows a migration until nothing more is to be waited for.</summary>
internal sealed class MigrationWatch(SiloConnection connection, TimeProvider time)
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(5);

    // A migration may change with every page written; a person cannot read faster than this, and the silo has other work.
    private static readonly TimeSpan ShortestRound = TimeSpan.FromMilliseconds(100);

    /// <summary>Follows it and shows its progress.</summary>
    /// <param name="id">The migration.</param>
    /// <param name="view">Shows it.</param>
    /// <param name="patience">As <see cref="Standstill"/> takes it.</param>
    /// <param name="cancellation">Ends the waiting.</param>
    /// <returns>Its last status: it has ended, or it waits for a person.</returns>
    /// <exception cref="MigrationException">No such migration.</exception>
    /// <exception cref="CommandException">No silo answered for 30 s.</exception>
    public Task<MigrationStatus> RunAsync(string id, IProgressView view, TimeSpan patience, CancellationToken cancellation) => view.RunAsync(async sink =>
    {
        var standstill = new Standstill(patience, time);
        using var redirected = connection.RedirectMessages(sink.Say);
        var revision = 0L;
        while (true)
        {
            var round = time.GetTimestamp();
            var after = revision;
            var limit = view.Period < LongestWait ? view.Period : LongestWait;
            var status = await connection.CallAsync(
                grains => grains.GetGrain<IMigrationGrain>(id).WaitForChange(after, limit), cancellation);
            var blocks = view.ShowsBlocks
                ? await connection.CallAsync(grains => grains.GetGrain<IMigrationGrain>(id).GetBlocks(), cancellation)
                : [];
            sink.Show(new Snapshot(status, blocks));
            if (standstill.IsReached(status))
                return status;
            revision = status.Revision;
            if (ShortestRound - time.GetElapsedTime(round) is var pause && pause > TimeSpan.Zero)
                await Task.Delay(pause, time, cancellation);
        }
    });
}

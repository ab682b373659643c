using DistMigrate.Contracts;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace DistMigrate.Grains;

/// <summary>Wakes, from the catalog, the unfinished migrations from and to this host whose coordinators a lost silo took with it.</summary>
internal sealed partial class MigrationSupervisor(
    IGrainFactory grains, IClusterMembershipService membership, IOptions<HostOptions> options, TimeProvider time, ILogger<MigrationSupervisor> logger)
    : BackgroundService
{
    /// <summary>Key in the request context that marks calls of a round, and of the status page, as opposed to those that a client caused.</summary>
    public const string RoundMark = "distmigrate.round";

    private static readonly TimeSpan Every = TimeSpan.FromSeconds(5);

    /// <summary>How often the membership is looked at: when a silo has come or gone, there is a round at once.</summary>
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(250);

    /// <summary>Ids of the unfinished migrations, as of the last round.</summary>
    public IReadOnlyList<string> Unfinished { get; private set; } = [];

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Tick, time);
        RequestContext.Set(RoundMark, true);
        MembershipVersion? seen = null;
        var last = time.GetTimestamp();
        do
        {
            var now = membership.CurrentSnapshot.Version;
            if (now == seen && time.GetElapsedTime(last) < Every)
                continue;
            (seen, last) = (now, time.GetTimestamp());
            try
            {
                await WakeAsync();
            }
            catch (Exception e) when (e is OrleansException or TimeoutException or MigrationException)
            {
                LogRoundFailed(logger, e);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    private async Task WakeAsync()
    {
        var unfinished = (await WholeCatalog.ReadAsync(grains)).Where(migration => !migration.Phase.IsEnd()).ToArray();
        Unfinished = [.. unfinished.Select(migration => migration.Spec.Id)];
        var host = options.Value.Name;
        foreach (var migration in unfinished.Where(migration => migration.Spec.Host == host || migration.Spec.Request.Move?.Target == host))
        {
            // The same id again starts nothing twice; it completes a submission that a crash cut in two.
            if (migration.Spec.Host == host)
                await grains.GetGrain<IHostGrain>(host).Submit(migration.Spec.Request, migration.Spec.Id);
            await grains.GetGrain<IMigrationGrain>(migration.Spec.Id).EnsureRunning();
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Looking for unfinished migrations failed; it is tried again")]
    private static partial void LogRoundFailed(ILogger logger, Exception exception);
}

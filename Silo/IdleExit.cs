using DistMigrate.Contracts;
using DistMigrate.Grains;

namespace DistMigrate.Silo;

/// <summary>Ends a silo in the background that nobody has used for a while and that has no unfinished migration.</summary>
internal sealed partial class IdleExit(
    MigrationSupervisor supervisor, ClientActivity activity, TimeProvider time, TimeSpan after, IHostApplicationLifetime lifetime,
    ILogger<IdleExit> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(Math.Max(1, after.TotalSeconds / 20)), time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            if (supervisor.Unfinished.Count > 0)
                activity.Touch();
            if (activity.IdleFor < after)
                continue;
            LogIdle(logger, after);
            lifetime.StopApplication();
            return;
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Nothing to do for {After}; the silo ends")]
    private static partial void LogIdle(ILogger logger, TimeSpan after);
}

/// <summary>When a client last asked something of this silo.</summary>
internal sealed class ClientActivity(TimeProvider time) : IIncomingGrainCallFilter
{
    private long _last = time.GetTimestamp();

    public TimeSpan IdleFor => time.GetElapsedTime(Interlocked.Read(ref _last));

    public void Touch() => Interlocked.Exchange(ref _last, time.GetTimestamp());

    public Task Invoke(IIncomingGrainCallContext context)
    {
        // The supervisor's own rounds, and the status page, ask the catalog, hosts and coordinators alike; they mark their calls.
        // A grain's own timer is a call to it, too, of an interface that is not ours.
        if (context.InterfaceMethod.DeclaringType?.Assembly == typeof(IHostGrain).Assembly && RequestContext.Get(MigrationSupervisor.RoundMark) is null)
            Touch();
        return context.Invoke();
    }
}

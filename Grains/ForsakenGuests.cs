using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace DistMigrate.Grains;

/// <summary>
/// Gives guests their run state back that stand still for a save of which no coordinator is heard any longer, such as on a host whose network
/// is cut: nobody else can do that, and what is saved is kept.
/// </summary>
internal sealed partial class ForsakenGuests(
    HostedMigrations migrations, IOptions<HostOptions> options, TimeProvider time, ILogger<ForsakenGuests> logger) : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Every, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            foreach (var save in migrations.Saves.Where(save => save.Attempt.IsHeldStopped && save.Gate.Silence > options.Value.CommandPatience))
            {
                LogForsaken(logger, save.Spec.Request.Guest, save.Spec.Id, save.Gate.Silence);
                try
                {
                    await save.ForsakeAsync();
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    // The next round tries again; the other guests are not to wait for this one.
                    LogNotGivenBack(logger, save.Spec.Request.Guest, save.Spec.Id, e);
                }
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Guest {Guest} gets its run state back: no coordinator of migration {Id} was heard for {Silence}")]
    private static partial void LogForsaken(ILogger logger, string guest, string id, TimeSpan silence);

    [LoggerMessage(Level = LogLevel.Error, Message = "Guest {Guest} of migration {Id} could not be given its run state back; it is tried again")]
    private static partial void LogNotGivenBack(ILogger logger, string guest, string id, Exception exception);
}

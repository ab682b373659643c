using DistMigrate.Contracts;
using DistMigrate.Guests;
using DistMigrate.Transfer;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace DistMigrate.Grains;

/// <summary>
/// Clears up, on a host that was away when a migration ended, what is left here of it: a QEMU that waits for a guest which will not come
/// is ended, and a guest that somebody has given to another host meanwhile is stopped. What a launched QEMU that has ended by itself
/// leaves of its memory and sockets is removed.
/// </summary>
internal sealed partial class LoadSupervisor(
    HostedMigrations migrations, LoadRecords records, IGrainFactory grains, IOptions<HostOptions> options, TimeProvider time,
    ILogger<LoadSupervisor> logger) : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(5);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Every, time);
        RequestContext.Set(MigrationSupervisor.RoundMark, true);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            foreach (var folder in LaunchFolders())
                await RemoveEndedAsync(folder, stoppingToken);
            foreach (var migration in records.List().Where(migration => migrations.FindLoad(migration) is null))
            {
                try
                {
                    await SettleAsync(migration, stoppingToken);
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    // The next round tries again; the other ones are not to wait for this one.
                    LogNotSettled(logger, migration, e);
                }
            }
        }
    }

    private string[] LaunchFolders() => Directory.Exists(options.Value.GuestFolder) ? Directory.GetDirectories(options.Value.GuestFolder) : [];

    private async Task RemoveEndedAsync(string folder, CancellationToken cancellationToken)
    {
        try
        {
            // One without a number is just being launched.
            if (LaunchedQemu.Find(folder) is not { Pid: > 0, IsAlive: false } ended)
                return;
            await ended.EndAsync(time, cancellationToken);
            LogEnded(logger, ended.Guest, ended.Pid, ended.LogPath);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            LogNotRemoved(logger, folder, e);
        }
    }

    private async Task SettleAsync(string migration, CancellationToken cancellationToken)
    {
        var status = await grains.GetGrain<IMigrationGrain>(migration).GetStatus();
        if (!status.Phase.IsEnd())
            return;
        if (status.Phase == MigrationPhase.Completed)
        {
            records.Forget(migration);
            return;
        }

        await using var load = migrations.NewLoad(status.Spec);
        if (await load.StopIfSupersededAsync(cancellationToken) is { } remark)
            LogStopped(logger, remark, migration);
        else if (records.Find(migration) is { MayHaveRun: false })
            await load.AbortAsync(cancellationToken);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The QEMU of guest {Guest} (process {Pid}), which was launched here, has ended; its log is {Log}")]
    private static partial void LogEnded(ILogger logger, string guest, int pid, string log);

    [LoggerMessage(Level = LogLevel.Warning, Message = "What a QEMU left in {Folder} could not be removed; it is tried again")]
    private static partial void LogNotRemoved(ILogger logger, string folder, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Remark} Look at it (migration {Id})")]
    private static partial void LogStopped(ILogger logger, string remark, string id);

    [LoggerMessage(Level = LogLevel.Warning, Message = "What is left here of migration {Id} could not be cleared up; it is tried again")]
    private static partial void LogNotSettled(ILogger logger, string id, Exception exception);
}

using System.Collections.Concurrent;
using DistMigrate.Guests;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace DistMigrate.Grains.Metrics;

/// <summary>
/// Asks this host's guests now and then whether they run: a guest that runs on two hosts is the one thing that must never be. A monitor takes
/// one client at a time, so a guest that a migration works on is not asked (the migration tells), and one that begins ends the question.
/// </summary>
internal sealed partial class GuestWatch(
    HostMetrics metrics, HostedMigrations migrations, IOptions<HostOptions> options, TimeProvider time, ILogger<GuestWatch> logger) : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly KnownGuests _guests = new(options.Value.Guests, options.Value.GuestFolder, time);
    private readonly ConcurrentDictionary<string, CancellationTokenSource> _asking = new();
    private HashSet<string> _shown = [];

    public override void Dispose()
    {
        migrations.Taken -= Leave;
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        migrations.Taken += Leave;
        using var timer = new PeriodicTimer(Every, time);
        do
        {
            var names = (await _guests.ListAsync()).ToHashSet();
            foreach (var gone in _shown.Except(names))
                metrics.Show(gone, isRunning: null);
            await Parallel.ForEachAsync(
                names, new ParallelOptions { MaxDegreeOfParallelism = 8, CancellationToken = stoppingToken },
                async (guest, cancellation) => metrics.Show(guest, await IsRunningAsync(guest, cancellation)));
            _shown = names;
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    private void Leave(string guest)
    {
        if (!_asking.TryGetValue(guest, out var question))
            return;
        try
        {
            question.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It has just been answered.
        }
    }

    private async Task<bool?> IsRunningAsync(string guest, CancellationToken cancellationToken)
    {
        using var question = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        _asking[guest] = question;
        try
        {
            if (migrations.TryFindGuest(guest, out var state))
                return state.Length > 0 ? state == "running" : null;
            if (await _guests.FindAsync(guest) is not { } socket)
                return null;
            await using var monitor = await QmpClient.ConnectAsync(socket, time, question.Token);
            return (await monitor.ExecuteAsync("query-status", null, Patience, question.Token)).TryGetProperty("running", out var running) && running.GetBoolean();
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return null;
        }
        catch (GuestException e)
        {
            // A socket without a QEMU behind it is everyday; whoever wants something of the guest is told.
            LogNoAnswer(logger, guest, e.Message);
            return null;
        }
        finally
        {
            _asking.TryRemove(guest, out _);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Guest {Guest} does not tell whether it runs: {Why}")]
    private static partial void LogNoAnswer(ILogger logger, string guest, string why);
}

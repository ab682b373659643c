using System.Text.Json.Nodes;
using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>
/// QEMU's precopy migration into a sink of ours: the guest runs on while QEMU sends its pages, and again those that it dirties, by
/// QEMU's own dirty log. When little enough is left QEMU stops the guest and sends the rest and the device state.
/// </summary>
internal sealed class LiveStream(QmpClient qmp, TimeProvider time)
{
    /// <summary>QEMU's settings of such a stream.</summary>
    public static MigrationSettings Settings(QmpClient qmp, StreamLimits limits) => new(
        qmp, [], new JsonObject
        {
            // The reader holds QEMU back, not a limit.
            ["max-bandwidth"] = 0,
            ["downtime-limit"] = limits.DowntimeLimit,
        });

    /// <summary>Runs the stream to its end. QEMU's settings are the same afterwards. On every failure the guest runs on.</summary>
    /// <param name="sink">Takes the pages.</param>
    /// <param name="limits">What QEMU is told.</param>
    /// <param name="stopped">Called when the guest stops, while the stream goes on.</param>
    /// <param name="cancellationToken">Cancels the migration.</param>
    /// <returns>The device state; the guest stands still then.</returns>
    public async Task<DeviceSections> RunAsync(IRamStreamSink sink, StreamLimits limits, Action stopped, CancellationToken cancellationToken)
    {
        using var events = qmp.Subscribe();
        using var stops = qmp.Subscribe();
        var settings = Settings(qmp, limits);
        var before = await settings.TryApplyAsync(cancellationToken)
            ?? throw new InvalidOperationException("No capability was asked for, so none can be missing.");
        DeviceSections sections;
        try
        {
            using var migration = await OutgoingMigration.StartAsync(qmp, events, time, cancellationToken);
            using var ended = new CancellationTokenSource();
            var watch = WatchAsync(stops, stopped, ended.Token);
            try
            {
                sections = await migration.ReadAsync(sink, cancellationToken);
            }
            finally
            {
                await ended.CancelAsync();
                await watch;
            }
        }
        catch (Exception e)
        {
            await settings.RestoreAfterAsync(before, e);
            throw;
        }

        await settings.RestoreAsync(before);
        return sections;
    }

    /// <summary>How far the stream is; null when none is under way.</summary>
    public async Task<StreamProgress?> QueryAsync(CancellationToken cancellationToken)
    {
        var reply = await qmp.ExecuteAsync("query-migrate", null, null, cancellationToken);
        if (!reply.TryGetProperty("ram", out var ram))
            return null;
        return new StreamProgress(
            (int)ram.RequiredNumber("dirty-sync-count"), ram.RequiredNumber("remaining"),
            (double)ram.RequiredNumber("dirty-pages-rate") * ram.RequiredNumber("page-size"));
    }

    /// <summary>Changes the expected rest at which QEMU stops the guest.</summary>
    public Task SetDowntimeAsync(StreamLimits limits, CancellationToken cancellationToken) => qmp.ExecuteAsync(
        "migrate-set-parameters", new JsonObject { ["downtime-limit"] = limits.DowntimeLimit }, null, cancellationToken);

    private static async Task WatchAsync(QmpEventSubscription events, Action stopped, CancellationToken ended)
    {
        try
        {
            await foreach (var item in events.ReadAllAsync(ended))
            {
                if (item.Name == "STOP")
                    stopped();
            }
        }
        catch (Exception e) when (e is OperationCanceledException or GuestException)
        {
            // The stream has ended, or the connection, which tells the reader as well.
        }
    }
}

using System.Text.Json.Nodes;
using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>
/// A migration of QEMU, of a guest that runs, into a sink of ours. As precopy: QEMU sends its pages, and again those that it dirties, by
/// QEMU's own dirty log; when little enough is left QEMU stops the guest and sends the rest and the device state. As a snapshot: QEMU stops
/// the guest for a moment, and sends each page once as it was then, before the guest may change it (userfaultfd).
/// </summary>
internal sealed class LiveStream(QmpClient qmp, int pid, TimeProvider time)
{
    private const string SnapshotCapability = "background-snapshot";
    private const string AutoConvergeCapability = "auto-converge";
    private const string MultifdCapability = "multifd";

    /// <summary>QEMU's settings of a snapshot.</summary>
    public static MigrationSettings SnapshotSettings(QmpClient qmp) => new(qmp, [SnapshotCapability], new JsonObject { ["max-bandwidth"] = 0 });

    /// <summary>QEMU's settings of a precopy.</summary>
    public static MigrationSettings Settings(QmpClient qmp, StreamLimits limits)
    {
        List<string> capabilities = [];
        var parameters = new JsonObject
        {
            // The reader holds QEMU back, not a limit.
            ["max-bandwidth"] = 0,
            ["downtime-limit"] = limits.DowntimeLimit,
        };
        if (limits.Throttle != StreamThrottle.None)
            capabilities.Add(limits.Throttle == StreamThrottle.DirtyLimit ? DirtyLimit.Capability : AutoConvergeCapability);
        if (limits.Channels > 1)
        {
            capabilities.Add(MultifdCapability);
            parameters["multifd-channels"] = limits.Channels;
            parameters["multifd-compression"] = "none";
        }

        return new MigrationSettings(qmp, capabilities, parameters);
    }

    /// <summary>Runs a precopy to its end. QEMU's settings are the same afterwards. On every failure the guest runs on.</summary>
    /// <param name="sink">Takes the pages.</param>
    /// <param name="limits">What QEMU is told.</param>
    /// <param name="stopped">Called when the guest stops, while the stream goes on.</param>
    /// <param name="cancellationToken">Cancels the migration.</param>
    /// <returns>The device state; the guest stands still then.</returns>
    public async Task<DeviceSections> RunAsync(IRamStreamSink sink, StreamLimits limits, Action stopped, CancellationToken cancellationToken)
    {
        if (limits.Channels > 1 && await TryPrecopyAsync(sink, limits, stopped, cancellationToken) is { } devices)
            return devices;
        return await TryPrecopyAsync(sink, limits with { Channels = 1 }, stopped, cancellationToken)
            ?? throw new GuestException(GuestFault.Unsupported, $"This QEMU has no {AutoConvergeCapability}. Choose another policy than must-finish.");
    }

    /// <summary>Takes a snapshot. QEMU's settings are the same afterwards.</summary>
    /// <param name="sink">Takes the pages. Each comes once.</param>
    /// <param name="stopped">Called when the guest stops: what it held then is what comes.</param>
    /// <param name="continued">Called when it runs again.</param>
    /// <param name="cancellationToken">Cancels the migration.</param>
    /// <returns>The device state of that moment; the guest runs.</returns>
    /// <exception cref="GuestException">Unsupported: QEMU or its host's kernel cannot do it for this guest, in QEMU's words.</exception>
    public async Task<DeviceSections> SnapshotAsync(IRamStreamSink sink, Action stopped, Action continued, CancellationToken cancellationToken)
    {
        var settings = SnapshotSettings(qmp);
        MigrationSettingsSnapshot? before;
        try
        {
            before = await settings.TryApplyAsync(cancellationToken);
        }
        catch (GuestException e) when (e.Fault == GuestFault.CommandFailed)
        {
            throw new GuestException(GuestFault.Unsupported, $"QEMU takes no snapshot of this guest: {e.Message} Save it by --mode stream or compare.", e);
        }

        if (before is null)
            throw new GuestException(GuestFault.Unsupported, $"This QEMU has no {SnapshotCapability}. Save the guest by --mode stream or compare.");
        return await ReadAsync(settings, before, sink, (1, IsSnapshot: true), (stopped, continued), cancellationToken)
            ?? throw new InvalidOperationException("A single channel needs no connection of QEMU's.");
    }

    /// <returns>Null when QEMU cannot do it that way; nothing has happened then.</returns>
    private async Task<DeviceSections?> TryPrecopyAsync(IRamStreamSink sink, StreamLimits limits, Action stopped, CancellationToken cancellationToken)
    {
        var settings = Settings(qmp, limits);
        return await settings.TryApplyAsync(cancellationToken) is { } before
            ? await ReadAsync(settings, before, sink, (limits.Channels, IsSnapshot: false), (stopped, null), cancellationToken)
            : null;
    }

    private async Task<OutgoingMigration?> TryStartAsync(int channels, QmpEventSubscription events, CancellationToken cancellationToken) =>
        channels > 1
            ? await OutgoingMigration.TryStartMultifdAsync(qmp, pid, channels, events, time, cancellationToken)
            : await OutgoingMigration.StartAsync(qmp, events, time, cancellationToken);

    private async Task<DeviceSections?> ReadAsync(
        MigrationSettings settings, MigrationSettingsSnapshot before, IRamStreamSink sink, (int Channels, bool IsSnapshot) kind,
        (Action Stopped, Action? Continued) report, CancellationToken cancellationToken)
    {
        using var events = qmp.Subscribe();
        using var stops = qmp.Subscribe();
        DeviceSections sections;
        try
        {
            using var migration = await TryStartAsync(kind.Channels, events, cancellationToken);
            if (migration is null)
            {
                await settings.RestoreAsync(before);
                return null;
            }

            using var ended = new CancellationTokenSource();
            var watch = WatchAsync(stops, report.Stopped, report.Continued, ended.Token);
            try
            {
                sections = await migration.ReadAsync(sink, kind.IsSnapshot, cancellationToken);
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
        if (MigrationProgress.Of(reply).IsOver || !reply.TryGetProperty("ram", out var ram))
            return null;
        return new StreamProgress(
            (int)ram.RequiredNumber("dirty-sync-count"), ram.RequiredNumber("remaining"),
            (double)ram.RequiredNumber("dirty-pages-rate") * ram.RequiredNumber("page-size"),
            reply.TryGetProperty("cpu-throttle-percentage", out _) ? (int)reply.RequiredNumber("cpu-throttle-percentage") : DirtyLimit.PercentOf(reply));
    }

    /// <summary>Changes the expected rest at which QEMU stops the guest.</summary>
    public Task SetDowntimeAsync(StreamLimits limits, CancellationToken cancellationToken) => qmp.ExecuteAsync(
        "migrate-set-parameters", new JsonObject { ["downtime-limit"] = limits.DowntimeLimit }, null, cancellationToken);

    private static async Task WatchAsync(QmpEventSubscription events, Action stopped, Action? continued, CancellationToken ended)
    {
        try
        {
            await foreach (var item in events.ReadAllAsync(ended))
            {
                if (item.Name == "STOP")
                    stopped();
                else if (item.Name == "RESUME")
                    continued?.Invoke();
            }
        }
        catch (Exception e) when (e is OperationCanceledException or GuestException)
        {
            // The stream has ended, or the connection, which tells the reader as well.
        }
    }
}

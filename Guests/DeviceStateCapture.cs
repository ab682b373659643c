using System.Text.Json.Nodes;
using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Guests;

/// <summary>Takes the device state of a stopped guest out of QEMU, in one of the two ways of <see cref="DeviceStateMethod"/>.</summary>
internal sealed class DeviceStateCapture(QmpClient qmp, TimeProvider time)
{
    /// <summary>The guest stands still meanwhile, so this bounds its pause; measured are milliseconds.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>QMP <c>migrate</c> with <c>x-ignore-shared</c> to one end of a socket pair; null when QEMU lacks that capability.</summary>
    public async Task<DeviceSections?> TryIgnoreSharedAsync(CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(Limit, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        using var events = qmp.Subscribe();
        var settings = MigrationSettings.ForDeviceState(qmp);
        if (await settings.TryApplyAsync(either.Token) is not { } before)
            return null;
        DeviceSections sections;
        try
        {
            using var migration = await OutgoingMigration.StartAsync(qmp, events, time, either.Token);
            sections = await migration.ReadAsync(sink: null, isSnapshot: false, either.Token);
        }
        catch (OperationCanceledException e) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            var late = new GuestException(GuestFault.TimedOut, $"QEMU did not deliver its device state within {Limit.TotalSeconds:0} s; its migration was cancelled.", e);
            await settings.RestoreAfterAsync(before, late);
            throw late;
        }
        catch (Exception e)
        {
            await settings.RestoreAfterAsync(before, e);
            throw;
        }

        await settings.RestoreAsync(before);
        return sections;
    }

    /// <summary>QMP <c>xen-save-devices-state</c> into a file in memory, so that QEMU's main loop never waits for a reader.</summary>
    /// <param name="releasesDisks">Whether QEMU gives up its disks' locks, so that another one can take them; <c>cont</c> takes them back.</param>
    /// <param name="cancellationToken">Stops the wait.</param>
    public async Task<DeviceSections> XenSaveAsync(bool releasesDisks, CancellationToken cancellationToken)
    {
        using var file = Libc.MemoryFile("distmigrate-devices");

        // QEMU takes a member of the set whose access mode is the one that it opens for.
        using var writer = Libc.Open($"/proc/self/fd/{file.Number}", OpenFlags.WriteOnly);
        var set = (await qmp.ExecuteAsync("add-fd", null, null, cancellationToken, writer)).RequiredNumber("fdset-id");
        try
        {
            await qmp.ExecuteAsync("xen-save-devices-state", new JsonObject { ["filename"] = $"/dev/fdset/{set}", ["live"] = releasesDisks }, Limit, cancellationToken);
        }
        catch (GuestException e) when (e.Fault == GuestFault.CommandFailed)
        {
            throw new GuestException(GuestFault.DeviceState, $"QEMU could not save its device state: {e.Message}", e) { QmpClass = e.QmpClass };
        }
        finally
        {
            if (!qmp.HasEnded)
                await qmp.ExecuteAsync("remove-fd", new JsonObject { ["fdset-id"] = set }, null, CancellationToken.None);
        }

        var length = Libc.Identify(file).Length;
        if (length > PrecopyStream.DeviceStateLimit)
            throw new GuestException(GuestFault.DeviceState, $"The device state is {length >> 20} MiB long; at most {PrecopyStream.DeviceStateLimit >> 20} MiB are supported.");
        var bytes = new byte[length];
        Libc.PReadExactly(file, bytes, 0);
        return XenDeviceState.Strip(bytes);
    }
}

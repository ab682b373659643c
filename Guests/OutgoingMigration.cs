using System.Net.Sockets;
using System.Text.Json.Nodes;
using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Guests;

/// <summary>A <c>migrate</c> of QEMU into this process: into one end of a socket pair of which we read the other, or into the channels of a
/// multifd stream.</summary>
internal sealed class OutgoingMigration : IDisposable
{
    private static readonly TimeSpan CancelLimit = TimeSpan.FromSeconds(10);

    private readonly QmpClient _qmp;
    private readonly QmpEventSubscription _events;
    private readonly Socket _socket;
    private readonly TimeProvider _time;
    private readonly MultifdChannels? _channels;

    private OutgoingMigration(QmpClient qmp, QmpEventSubscription events, Socket socket, TimeProvider time, MultifdChannels? channels = null)
    {
        _qmp = qmp;
        _events = events;
        _socket = socket;
        _time = time;
        _channels = channels;
    }

    /// <summary>Hands QEMU its end and starts the migration.</summary>
    /// <param name="qmp">The guest's monitor.</param>
    /// <param name="events">Its events, subscribed to before.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="GuestException">QEMU refuses.</exception>
    public static async Task<OutgoingMigration> StartAsync(
        QmpClient qmp, QmpEventSubscription events, TimeProvider time, CancellationToken cancellationToken)
    {
        var (ours, theirs) = Libc.SocketPair();
        var socket = Open(ours);
        var name = $"distmigrate-{Guid.NewGuid():N}";
        try
        {
            using (theirs)
                await qmp.ExecuteAsync("getfd", new JsonObject { ["fdname"] = name }, null, cancellationToken, theirs);
            try
            {
                await qmp.ExecuteAsync("migrate", new JsonObject { ["uri"] = $"fd:{name}" }, null, cancellationToken);
            }
            catch
            {
                await ForgetAsync(qmp, name);
                throw;
            }

            return new OutgoingMigration(qmp, events, socket, time);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>A socket of which we have the descriptor; that is the socket's from now on.</summary>
    internal static Socket Open(Descriptor descriptor)
    {
        var socket = new Socket(new SafeSocketHandle(descriptor.Number, ownsHandle: true));
        descriptor.SetHandleAsInvalid();
        return socket;
    }

    /// <summary>Has QEMU connect to us and starts a migration with multifd, for which it must be set.</summary>
    /// <param name="qmp">The guest's monitor.</param>
    /// <param name="pid">QEMU's process.</param>
    /// <param name="channels">Channels beside the main one.</param>
    /// <param name="events">QEMU's events, subscribed to before.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Null when QEMU cannot connect: it is another network namespace's, or may not.</returns>
    public static async Task<OutgoingMigration?> TryStartMultifdAsync(
        QmpClient qmp, int pid, int channels, QmpEventSubscription events, TimeProvider time, CancellationToken cancellationToken)
    {
        var listening = new MultifdChannels(pid, channels);
        using var connected = new CancellationTokenSource();
        try
        {
            await qmp.ExecuteAsync("migrate", new JsonObject { ["channels"] = listening.Address }, null, cancellationToken);

            // Not cancelled: QEMU connects at once or not at all, and a migration that was begun has to be read, or cancelled, by its owner.
            var over = MigrationProgress.WaitAsync(qmp, events, null, connected.Token);
            if (await Task.WhenAny(listening.Main, over) == listening.Main)
                return new OutgoingMigration(qmp, events, await listening.Main, time, listening);
            await over;
        }
        catch (GuestException e) when (e.Fault == GuestFault.CommandFailed)
        {
            // Whatever is wrong beside the way to us, a migration on that of a socket pair tells as well.
        }
        catch
        {
            listening.Dispose();
            throw;
        }
        finally
        {
            await connected.CancelAsync();
        }

        listening.Dispose();
        return null;
    }

    /// <summary>Reads the stream to its end, on a thread of its own, and waits until QEMU has completed. On every failure the migration is
    /// cancelled, and no longer under way when this ends.</summary>
    /// <param name="sink">Takes the pages; null passes over them.</param>
    /// <param name="isSnapshot">Whether QEMU takes a <c>background-snapshot</c>.</param>
    /// <param name="cancellationToken">Cancels the migration.</param>
    /// <exception cref="GuestException">DeviceState with QEMU's own words where it has some; what the sink throws.</exception>
    public async Task<DeviceSections> ReadAsync(IRamStreamSink? sink, bool isSnapshot, CancellationToken cancellationToken)
    {
        try
        {
            var sections = await ReadStreamAsync(sink, isSnapshot, cancellationToken);
            var outcome = await MigrationProgress.WaitAsync(_qmp, _events, null, cancellationToken);
            return outcome.Status == "completed" ? sections : throw new GuestException(GuestFault.DeviceState,
                $"QEMU's migration to us ended as {outcome.Status}: {outcome.Error ?? "no reason given"}.");
        }
        catch (Exception e)
        {
            await CancelAsync(e);
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _socket.Dispose();
        _channels?.Dispose();
    }

    private async Task<DeviceSections> ReadStreamAsync(IRamStreamSink? sink, bool isSnapshot, CancellationToken cancellationToken)
    {
        // A thread that waits for bytes ends only when the socket does.
        await using var closing = cancellationToken.Register(Abandon);
        try
        {
            var devices = await Task.Factory.StartNew(
                () =>
                {
                    using var stream = new NetworkStream(_socket, ownsSocket: false);
                    return Read(stream, sink, isSnapshot);
                },
                CancellationToken.None, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default);
            if (_channels is not null)
            {
                await _channels.EndAsync().WaitAsync(cancellationToken);
                _channels.Throw();
            }

            return devices;
        }
        catch (Exception) when (cancellationToken.IsCancellationRequested)
        {
            throw new OperationCanceledException(cancellationToken);
        }
        catch (Exception e) when (e is GuestException { Fault: GuestFault.DeviceState } or IOException)
        {
            // A stream that breaks off is most often QEMU's own failure, and then its words tell more.
            _socket.Close();
            var broken = await MigrationProgress.WaitAsync(_qmp, _events, null, cancellationToken);
            throw new GuestException(GuestFault.DeviceState, broken.Status == "failed" && broken.Error is { } why
                ? $"QEMU could not deliver its migration stream: {why}."
                : e.Message, e);
        }
    }

    private DeviceSections Read(Stream stream, IRamStreamSink? sink, bool isSnapshot)
    {
        if (_channels is null || sink is null)
            return PrecopyStream.Read(stream, sink, isSnapshot);
        try
        {
            return PrecopyStream.Read(stream, _channels.Begin(sink), isSnapshot, _channels.Sync);
        }
        catch
        {
            // A channel that failed has ended the main one with it.
            _channels.Abandon();
            _channels.Throw();
            throw;
        }
    }

    /// <summary>Ends the migration, so that settings can be put back and the guest goes on.</summary>
    private async Task CancelAsync(Exception failure)
    {
        Abandon();
        try
        {
            if (_qmp.HasEnded || (await MigrationProgress.QueryAsync(_qmp, null, CancellationToken.None)).IsOver)
                return;
            await _qmp.ExecuteAsync("migrate_cancel", null, null, CancellationToken.None);
            using var limit = new CancellationTokenSource(CancelLimit, _time);
            await MigrationProgress.WaitAsync(_qmp, _events, null, limit.Token);
        }
        catch (Exception e) when (e is GuestException or OperationCanceledException)
        {
            failure.Data["migration not cancelled"] = e.Message;
        }
        finally
        {
            // None of the channels may put pages into the sink from here on.
            Dispose();
            if (_channels is not null)
                await _channels.EndAsync();
        }
    }

    /// <summary>Ends who reads the stream, and with its next write QEMU's migration.</summary>
    private void Abandon()
    {
        _socket.Dispose();
        _channels?.Abandon();
    }

    /// <summary>Closes the socket that QEMU holds; a <c>migrate</c> that got further has taken it, and then there is none.</summary>
    private static async Task ForgetAsync(QmpClient qmp, string name)
    {
        try
        {
            if (!qmp.HasEnded)
                await qmp.ExecuteAsync("closefd", new JsonObject { ["fdname"] = name }, null, CancellationToken.None);
        }
        catch (GuestException e) when (e.Fault is GuestFault.CommandFailed or GuestFault.Exited)
        {
        }
    }
}

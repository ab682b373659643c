using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using DistMigrate.Posix;

namespace DistMigrate.Guests;

/// <summary>
/// One connection to a QEMU monitor in QMP mode (QEMU docs, interop/qmp-spec). Commands may be sent from several threads at once;
/// replies are matched by id. When the connection ends, every pending and later command fails with <see cref="GuestFault.Exited"/>.
/// </summary>
public sealed class QmpClient : IAsyncDisposable
{
    /// <summary>How long a command may take when the caller says nothing.</summary>
    public static readonly TimeSpan DefaultTimeout = TimeSpan.FromSeconds(10);

    private const int MessageLimit = 16 * 1024 * 1024;
    private static readonly TimeSpan GreetingLimit = TimeSpan.FromSeconds(3);

    private readonly string _socketPath;
    private readonly TimeProvider _time;
    private readonly Socket _socket;
    private readonly QmpMessageBuffer _incoming = new(MessageLimit);
    private readonly SemaphoreSlim _writer = new(1, 1);
    private readonly CancellationTokenSource _closing = new();
    private readonly SemaphoreSlim _reading = new(1, 1);
    private readonly ConcurrentDictionary<long, TaskCompletionSource<JsonElement>> _pending = new();
    private readonly Lock _subscribers = new();
    private readonly List<QmpEventSubscription> _subscriptions = [];
    private GuestException? _ended;
    private long _lastId;

    private QmpClient(string socketPath, Socket socket, TimeProvider time)
    {
        _socketPath = socketPath;
        _socket = socket;
        _time = time;
    }

    /// <summary>The version in QEMU's greeting, such as <c>10.0.2</c>.</summary>
    public string QemuVersion { get; private set; } = "";

    /// <summary>The process that listens on the socket (SO_PEERCRED): QEMU itself, or the manager that opened the socket for it.</summary>
    public int PeerPid { get; private init; }

    /// <summary>Whether the connection has ended.</summary>
    public bool HasEnded => Volatile.Read(ref _ended) is not null;

    /// <summary>Connects, reads the greeting and leaves capabilities negotiation.</summary>
    /// <param name="socketPath">The unix socket that QEMU's <c>-qmp unix:PATH,server=on,wait=off</c> listens on.</param>
    /// <param name="time">Where limits take their time from.</param>
    /// <param name="cancellationToken">Stops the attempt.</param>
    /// <exception cref="GuestException">Unreachable, NotQmp (something else answered, or no greeting came within 3 s), or Exited.</exception>
    public static async Task<QmpClient> ConnectAsync(string socketPath, TimeProvider time, CancellationToken cancellationToken)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellationToken);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.TryAgain)
        {
            socket.Dispose();
            throw Held(socketPath);
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            socket.Dispose();
            throw new GuestException(GuestFault.Unreachable,
                $"The QMP socket {socketPath} cannot be reached: {WhyUnreachable(e)}. Check that QEMU runs with -qmp unix:{socketPath},server=on,wait=off and that this user may open it.", e);
        }

        var client = new QmpClient(socketPath, socket, time) { PeerPid = PeerOf(socket) };
        try
        {
            await client.GreetAsync(cancellationToken);
            _ = client.ReadLoopAsync();
            await client.ExecuteAsync("qmp_capabilities", null, null, cancellationToken);
            return client;
        }
        catch
        {
            await client.DisposeAsync();
            throw;
        }
    }

    /// <summary>The process at the other end of a unix socket (SO_PEERCRED).</summary>
    internal static int PeerOf(Socket socket)
    {
        Span<byte> credentials = stackalloc byte[12];
        const int solSocket = 1;
        const int peerCredentials = 17;
        socket.GetRawSocketOption(solSocket, peerCredentials, credentials);
        return MemoryMarshal.Read<int>(credentials);
    }

    /// <summary>Sends a command and waits for its reply.</summary>
    /// <param name="command">Such as <c>query-status</c>.</param>
    /// <param name="arguments">Its arguments, or null.</param>
    /// <param name="timeout">How long to wait, or null for <see cref="DefaultTimeout"/>; <see cref="Timeout.InfiniteTimeSpan"/> waits
    /// until QEMU answers or ends.</param>
    /// <param name="cancellationToken">Stops the wait; the command may still take effect.</param>
    /// <param name="passFd">A descriptor to hand over with the command (<c>getfd</c>, <c>add-fd</c>); the caller keeps its own.</param>
    /// <returns>The reply's return value.</returns>
    /// <exception cref="GuestException">CommandFailed with QEMU's class and words, TimedOut, or Exited.</exception>
    public async Task<JsonElement> ExecuteAsync(
        string command, JsonObject? arguments, TimeSpan? timeout, CancellationToken cancellationToken, SafeHandle? passFd = null)
    {
        var id = Interlocked.Increment(ref _lastId);
        var message = new JsonObject { ["execute"] = command, ["id"] = id };
        if (arguments is not null)
            message["arguments"] = arguments.DeepClone();
        var reply = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
        _pending[id] = reply;
        try
        {
            // The read loop sets the end before it fails what is pending, so one of the two sees the other.
            if (Volatile.Read(ref _ended) is { } ended)
                throw After(command, ended);
            await SendAsync(command, Encoding.UTF8.GetBytes(message.ToJsonString() + "\n"), passFd, cancellationToken);
            var limit = timeout ?? DefaultTimeout;
            JsonElement answer;
            try
            {
                answer = await reply.Task.WaitAsync(limit, _time, cancellationToken);
            }
            catch (TimeoutException e)
            {
                throw new GuestException(GuestFault.TimedOut,
                    $"QEMU did not answer {command} within {limit.TotalSeconds:0.#} s; it may still carry it out. Its main loop hangs most often on storage: look at the guest's disks.", e);
            }
            catch (GuestException e)
            {
                throw After(command, e);
            }

            if (answer.TryGetProperty("return", out var result))
                return result;
            var error = answer.GetProperty("error");
            var kind = error.Text("class") ?? "(no class)";
            throw new GuestException(GuestFault.CommandFailed, $"QEMU refused {command}: {error.Text("desc")} ({kind}).") { QmpClass = kind };
        }
        finally
        {
            _pending.TryRemove(id, out _);
        }
    }

    /// <summary>Fails when the connection has ended, for work that goes on without a word to QEMU.</summary>
    /// <exception cref="GuestException">Exited or NotQmp: why it ended.</exception>
    public void ThrowIfEnded()
    {
        if (Volatile.Read(ref _ended) is { } ended)
            throw new GuestException(ended.Fault, ended.Message, ended);
    }

    /// <summary>Starts to collect events; nothing that arrives after this call is lost.</summary>
    /// <exception cref="GuestException">The connection has ended.</exception>
    public QmpEventSubscription Subscribe()
    {
        lock (_subscribers)
        {
            if (_ended is { } ended)
                throw After("the wait for events", ended);
            var subscription = new QmpEventSubscription(_time, Leave);
            _subscriptions.Add(subscription);
            return subscription;
        }
    }

    /// <summary>Waits for the first event after this call that fits. For the events of a command, <see cref="Subscribe"/> before it.</summary>
    /// <exception cref="GuestException">TimedOut, or Exited.</exception>
    public async Task<QmpEvent> WaitForEventAsync(Func<QmpEvent, bool> fits, TimeSpan timeout, CancellationToken cancellationToken)
    {
        using var subscription = Subscribe();
        return await subscription.WaitAsync(fits, timeout, cancellationToken);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _reading.WaitAsync();
        _reading.Release();
        _socket.Dispose();
        End(new GuestException(GuestFault.Exited, "The QMP connection was closed on our side."));
    }

    private async Task GreetAsync(CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(GreetingLimit, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        JsonElement greeting;
        try
        {
            while (!_incoming.TryTake(out greeting))
                await ReceiveAsync(either.Token);
        }
        catch (GuestException e) when (e.Fault == GuestFault.Exited)
        {
            throw new GuestException(GuestFault.NotQmp,
                $"What listens on {_socketPath} closed the connection without a QMP greeting. Check that it is QEMU's -qmp socket and that QEMU still runs.", e);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw Held(_socketPath);
        }
        catch (JsonException e)
        {
            throw new GuestException(GuestFault.NotQmp, $"What listens on {_socketPath} does not speak QMP. Give the socket of a monitor in control mode (-qmp), not of an HMP monitor or a console.", e);
        }

        if (greeting.ValueKind != JsonValueKind.Object
            || !greeting.TryGetProperty("QMP", out var qmp) || qmp.ValueKind != JsonValueKind.Object
            || !qmp.TryGetProperty("version", out var version) || version.ValueKind != JsonValueKind.Object
            || !version.TryGetProperty("qemu", out var qemu) || qemu.ValueKind != JsonValueKind.Object
            || !TryNumber(qemu, "major", out var major) || !TryNumber(qemu, "minor", out var minor) || !TryNumber(qemu, "micro", out var micro))
            throw new GuestException(GuestFault.NotQmp, $"What listens on {_socketPath} does not greet as a QEMU monitor. Give the socket of QEMU's -qmp option.");
        QemuVersion = $"{major}.{minor}.{micro}";
    }

    private async Task ReadLoopAsync()
    {
        await _reading.WaitAsync();
        try
        {
            while (true)
            {
                while (_incoming.TryTake(out var message))
                    Dispatch(message);
                await ReceiveAsync(_closing.Token);
            }
        }
        catch (OperationCanceledException)
        {
            End(new GuestException(GuestFault.Exited, "The QMP connection was closed on our side."));
        }
        catch (GuestException e)
        {
            End(e);
        }
        catch (JsonException e)
        {
            End(new GuestException(GuestFault.NotQmp, $"What listens on {_socketPath} sent something that is not QMP: {e.Message} The connection is given up.", e));
        }
        finally
        {
            // Whatever ended the loop, nobody waits for a reply that cannot come.
            End(new GuestException(GuestFault.NotQmp, $"The QMP connection {_socketPath} is no longer read."));
            _reading.Release();
        }
    }

    private async Task ReceiveAsync(CancellationToken cancellationToken)
    {
        int count;
        try
        {
            count = await _socket.ReceiveAsync(_incoming.Room(), SocketFlags.None, cancellationToken);
        }
        catch (SocketException e)
        {
            throw new GuestException(GuestFault.Exited, $"The QMP connection to {_socketPath} broke: {e.Message}. QEMU (pid {PeerPid}) most likely died; look at its log.", e);
        }

        if (count == 0)
            throw new GuestException(GuestFault.Exited, $"QEMU (pid {PeerPid}) closed the QMP connection {_socketPath}: it exited, or its monitor was taken away. Look at its log.");
        _incoming.Advance(count);
    }

    private void Dispatch(JsonElement message)
    {
        if (message.ValueKind != JsonValueKind.Object)
            throw new JsonException("A message is not an object.");
        if (message.TryGetProperty("event", out var name))
        {
            if (name.ValueKind != JsonValueKind.String)
                throw new JsonException("An event's name is not text.");
            var item = new QmpEvent(name.GetString()!, message.TryGetProperty("data", out var data) ? data : default);
            lock (_subscribers)
            {
                foreach (var subscription in _subscriptions)
                    subscription.Add(item);
            }

            return;
        }

        var answered = message.TryGetProperty("return", out _)
            || (message.TryGetProperty("error", out var error) && error.ValueKind == JsonValueKind.Object);
        if (!answered || !message.TryGetProperty("id", out var id) || id.ValueKind != JsonValueKind.Number || !id.TryGetInt64(out var number))
            throw new JsonException("A message is neither an event nor a reply to a command of ours.");

        // The reply to a command that nobody waits for any more is dropped.
        if (_pending.TryRemove(number, out var waiting))
            waiting.TrySetResult(message);
    }

    private async Task SendAsync(string command, byte[] bytes, SafeHandle? passFd, CancellationToken cancellationToken)
    {
        await _writer.WaitAsync(cancellationToken);
        try
        {
            var sent = 0;
            while (passFd is not null && sent == 0)
            {
                var count = Libc.SendDescriptor(_socket.SafeHandle, bytes, passFd, out var errno);
                if (count > 0)
                    sent = count;
                else if (errno == Errno.EAGAIN)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    _socket.Poll(TimeSpan.FromMilliseconds(100), SelectMode.SelectWrite);
                }
                else
                    throw new GuestException(GuestFault.Exited, $"QEMU's monitor took no descriptor with {command}: {ErrnoException.Describe(errno)}. The connection is gone.");
            }

            // Once the first byte is out the rest follows, or the next command would be read as its end.
            while (sent < bytes.Length)
                sent += await _socket.SendAsync(bytes.AsMemory(sent), SocketFlags.None, CancellationToken.None);
        }
        catch (SocketException e)
        {
            throw new GuestException(GuestFault.Exited, $"QEMU closed the QMP connection {_socketPath} before {command} was sent: {e.Message}.", e);
        }
        finally
        {
            _writer.Release();
        }
    }

    private void End(GuestException why)
    {
        lock (_subscribers)
        {
            if (_ended is not null)
                return;
            Volatile.Write(ref _ended, why);
            foreach (var subscription in _subscriptions)
                subscription.End(why);
            _subscriptions.Clear();
        }

        foreach (var waiting in _pending.Values)
            waiting.TrySetException(why);
    }

    private void Leave(QmpEventSubscription subscription)
    {
        lock (_subscribers)
            _subscriptions.Remove(subscription);
    }

    private static GuestException After(string what, GuestException ended) =>
        new(ended.Fault, $"{what} was not answered. {ended.Message}", ended);

    private static GuestException Held(string socketPath) => new(GuestFault.NotQmp,
        $"The QMP socket {socketPath} accepts connections but does not greet. A QMP socket serves one client at a time, so another client may hold the monitor: close that one, or give QEMU a second -qmp socket.");

    private static string WhyUnreachable(Exception e) => e switch
    {
        SocketException { SocketErrorCode: SocketError.ConnectionRefused } => "nobody listens on it",
        SocketException { SocketErrorCode: SocketError.AddressNotAvailable } => "it does not exist",
        SocketException { SocketErrorCode: SocketError.AccessDenied } => "permission denied",
        ArgumentException => "a unix socket's path is 1 to 107 bytes long",
        _ => e.Message,
    };

    private static bool TryNumber(JsonElement element, string name, out int value)
    {
        value = 0;
        return element.TryGetProperty(name, out var number) && number.ValueKind == JsonValueKind.Number && number.TryGetInt32(out value);
    }
}

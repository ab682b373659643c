using System.Diagnostics.CodeAnalysis;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DistMigrate.Tests.Lab;

/// <summary>
/// The tests' own connection to a QEMU, over a second monitor: a QMP socket serves one client at a time, and the first belongs to the
/// system under test.
/// </summary>
public sealed class TestMonitor : IAsyncDisposable
{
    private const int Connections = 5;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly Socket _socket;
    private readonly StreamReader _reader;
    private readonly SemaphoreSlim _oneCommand = new(1, 1);
    private readonly Lock _gate = new();
    private readonly List<JsonElement> _events = [];
    private readonly Task _reading;
    private TaskCompletionSource<JsonElement>? _pending;
    private int _lastId;
    private bool _isClosed;

    private TestMonitor(Socket socket, StreamReader reader)
    {
        _socket = socket;
        _reader = reader;
        _reading = ReadAllAsync();
    }

    /// <summary>All events since the connection, oldest first, as QMP sent them.</summary>
    public IReadOnlyList<JsonElement> Events
    {
        get
        {
            lock (_gate)
            {
                return [.. _events];
            }
        }
    }

    /// <summary>True once QEMU has closed the connection, which it does by ending.</summary>
    public bool IsClosed
    {
        get
        {
            lock (_gate)
            {
                return _isClosed;
            }
        }
    }

    /// <summary>Runs a command and returns its "return" value.</summary>
    /// <param name="command">The QMP command.</param>
    /// <param name="arguments">Its arguments, or null.</param>
    /// <param name="cancellationToken">Ends the waiting, not the command.</param>
    /// <exception cref="MonitorException">QEMU refused it.</exception>
    /// <exception cref="IOException">QEMU ended before it answered.</exception>
    public async Task<JsonElement> ExecuteAsync(string command, JsonObject? arguments = null, CancellationToken cancellationToken = default)
    {
        var request = new JsonObject { ["execute"] = command };
        if (arguments is not null)
        {
            request["arguments"] = arguments.DeepClone();
        }

        await _oneCommand.WaitAsync(cancellationToken);
        try
        {
            var answer = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_gate)
            {
                if (_isClosed)
                {
                    throw new IOException($"QEMU has ended: {command} cannot be sent.");
                }

                _pending = answer;
                request["id"] = ++_lastId;
            }

            await _socket.SendAsync(Encoding.UTF8.GetBytes(request.ToJsonString() + "\n"), CancellationToken.None);
            var reply = await answer.Task.WaitAsync(cancellationToken);
            return reply.TryGetProperty("error", out var error)
                ? throw new MonitorException(command, error.GetProperty("class").GetString()!, error.GetProperty("desc").GetString()!)
                : reply.GetProperty("return");
        }
        catch (SocketException exception)
        {
            throw new IOException($"QEMU has ended: {command} cannot be sent ({exception.Message}).", exception);
        }
        finally
        {
            _oneCommand.Release();
        }
    }

    /// <summary>The run state, as <c>query-status</c> names it.</summary>
    /// <param name="cancellationToken">Ends the waiting.</param>
    public async Task<string> RunStateAsync(CancellationToken cancellationToken = default) =>
        (await ExecuteAsync("query-status", null, cancellationToken)).GetProperty("status").GetString()!;

    /// <summary>Switches migration capabilities on and off.</summary>
    /// <param name="capabilities">Name and state of each.</param>
    public Task SetCapabilitiesAsync(params ReadOnlySpan<(string Name, bool State)> capabilities)
    {
        var list = new JsonArray();
        foreach (var (name, state) in capabilities)
        {
            list.Add(new JsonObject { ["capability"] = name, ["state"] = state });
        }

        return ExecuteAsync("migrate-set-capabilities", new JsonObject { ["capabilities"] = list });
    }

    /// <summary>Waits for an event that was not yet there when <paramref name="after"/> events were.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="after">How many of <see cref="Events"/> to leave out.</param>
    /// <param name="predicate">Sees the event's data; null takes any.</param>
    /// <param name="limit">Null: <see cref="Wait.Ordinary"/>.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="IOException">QEMU ended before.</exception>
    public async Task<JsonElement> WaitForEventAsync(
        string name, int after = 0, Predicate<JsonElement>? predicate = null, TimeSpan? limit = null, CancellationToken cancellationToken = default)
    {
        JsonElement found = default;
        await Wait.UntilAsync(
            () =>
            {
                var closed = IsClosed;
                foreach (var candidate in Events.Skip(after))
                {
                    var data = candidate.TryGetProperty("data", out var value) ? value : default;
                    if (candidate.GetProperty("event").GetString() == name && predicate?.Invoke(data) != false)
                    {
                        found = candidate;
                        return true;
                    }
                }

                return closed ? throw new IOException($"QEMU ended before it sent {name}.") : false;
            },
            $"QEMU sends {name}",
            limit,
            () => $"It sent: {string.Join(", ", Events.Skip(after))}",
            cancellationToken);
        return found;
    }

    /// <inheritdoc/>
    [SuppressMessage("Usage", "VSTHRD003:Avoid awaiting foreign Tasks", Justification = "The constructor started it, and nothing here has a synchronisation context.")]
    public async ValueTask DisposeAsync()
    {
        _socket.Dispose();
        await _reading;
        _reader.Dispose();
        _oneCommand.Dispose();
    }

    /// <summary>Connects to a socket that QEMU may be about to make, and leaves the monitor in command mode.</summary>
    /// <exception cref="TimeoutException">Nobody listens there within the limit, or answers.</exception>
    internal static async Task<TestMonitor> ConnectAsync(string path, TimeSpan limit, Action throwIfEnded, CancellationToken cancellationToken)
    {
        for (var left = Connections; ; left--)
        {
            var socket = await ReachAsync(path, limit, throwIfEnded, cancellationToken);
            if (await TryBeginAsync(socket, cancellationToken) is { } monitor)
            {
                return monitor;
            }

            if (left == 1)
            {
                throw new TimeoutException($"QEMU does not answer on {path}.");
            }
        }
    }

    /// <summary>Waits for the greeting, and answers it. Null when QEMU says nothing: now and then one that has just started sleeps over
    /// what it was sent, until somebody connects again.</summary>
    private static async Task<TestMonitor?> TryBeginAsync(Socket socket, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(Patience);
        TestMonitor? monitor = null;
        try
        {
            var reader = new StreamReader(new NetworkStream(socket, ownsSocket: false), Encoding.UTF8);
            _ = await reader.ReadLineAsync(patience.Token);
            monitor = new TestMonitor(socket, reader);
            await monitor.ExecuteAsync("qmp_capabilities", null, patience.Token);
            return monitor;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            if (monitor is not null)
            {
                await monitor.DisposeAsync();
            }

            socket.Dispose();
            return null;
        }
    }

    private static async Task<Socket> ReachAsync(string path, TimeSpan limit, Action throwIfEnded, CancellationToken cancellationToken)
    {
        Socket? connected = null;
        await Wait.UntilAsync(
            () =>
            {
                throwIfEnded();
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    socket.Connect(new UnixDomainSocketEndPoint(path));
                    connected = socket;
                    return true;
                }
                catch (SocketException)
                {
                    socket.Dispose();
                    return false;
                }
            },
            $"QEMU listens on {path}",
            limit,
            cancellationToken: cancellationToken);
        return connected!;
    }

    private async Task ReadAllAsync()
    {
        var reason = "it closed the monitor";
        try
        {
            while (await _reader.ReadLineAsync() is { } line)
            {
                using var document = JsonDocument.Parse(line);
                Take(document.RootElement.Clone());
            }
        }
        catch (Exception exception) when (exception is IOException or ObjectDisposedException or SocketException)
        {
            reason = exception.Message;
        }

        TaskCompletionSource<JsonElement>? pending;
        lock (_gate)
        {
            _isClosed = true;
            pending = _pending;
            _pending = null;
        }

        pending?.TrySetException(new IOException($"QEMU ended before it answered: {reason}."));
    }

    private void Take(JsonElement message)
    {
        TaskCompletionSource<JsonElement>? pending = null;
        lock (_gate)
        {
            if (message.TryGetProperty("event", out _))
            {
                _events.Add(message);
            }
            else if (message.TryGetProperty("id", out var id) && id.GetInt32() == _lastId)
            {
                // An older id answers a command whose caller no longer waits.
                pending = _pending;
                _pending = null;
            }
        }

        pending?.TrySetResult(message);
    }
}

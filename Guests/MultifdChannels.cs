using System.Globalization;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using System.Text.Json.Nodes;

namespace DistMigrate.Guests;

/// <summary>
/// The sockets of a multifd migration of QEMU into this process. QEMU connects to a name in the abstract namespace: first its main channel, then
/// the others. Whoever else connects is sent away.
/// </summary>
/// <remarks>A migration that is given up ends with its main channel, which is closed; the others are emptied until QEMU has closed them. QEMU 10.0
/// waits for their threads with its big lock held (<c>multifd_send_sync_main</c>), and where one has ended because nobody reads it, it can wait for
/// ever, the guest stopped and its monitor mute.</remarks>
internal sealed class MultifdChannels : IDisposable
{
    private readonly int _pid;
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly string _name = string.Create(CultureInfo.InvariantCulture, $"distmigrate-{Guid.NewGuid():N}");
    private readonly MultifdSync _sync;
    private readonly TaskCompletionSource<Socket> _main = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<MultifdSink> _sink = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private readonly List<Socket> _channels = [];
    private readonly List<Task> _emptying = [];
    private readonly Task _accepting;
    private Socket? _mainChannel;
    private Exception? _failure;
    private volatile bool _isAbandoned;

    /// <summary>Listens.</summary>
    /// <param name="pid">QEMU's process.</param>
    /// <param name="channels">Channels beside the main one.</param>
    public MultifdChannels(int pid, int channels)
    {
        _pid = pid;
        _sync = new MultifdSync(channels);
        _listener.Bind(new UnixDomainSocketEndPoint($"\0{_name}"));
        _listener.Listen(channels + 1);
        _accepting = AcceptAsync();
    }

    /// <summary>Where QEMU is to connect: the <c>channels</c> of its <c>migrate</c>.</summary>
    public JsonArray Address => [new JsonObject
    {
        ["channel-type"] = "main",
        ["addr"] = new JsonObject { ["transport"] = "socket", ["type"] = "unix", ["path"] = _name, ["abstract"] = true, ["tight"] = true },
    }];

    /// <summary>The main channel, once QEMU has connected it.</summary>
    public Task<Socket> Main => _main.Task;

    /// <summary>Where the main channel waits for the others.</summary>
    public MultifdSync Sync => _sync;

    /// <summary>Begins to read the other channels.</summary>
    /// <returns>What the main channel puts its pages into.</returns>
    public MultifdSink Begin(IRamStreamSink sink)
    {
        var shared = new MultifdSink(sink);
        _sink.SetResult(shared);
        return shared;
    }

    /// <summary>Waits until every channel has ended, as they do with the main one.</summary>
    public async Task EndAsync()
    {
        await _accepting;
        Task[] emptying;
        lock (_gate)
            emptying = [.. _emptying];
        await Task.WhenAll(emptying);
    }

    /// <summary>Takes nothing more from any channel: closes the main one, empties the others, and frees who waits for another. What went wrong first
    /// is told by <see cref="Throw"/>.</summary>
    public void Abandon()
    {
        lock (_gate)
        {
            if (_isAbandoned)
                return;
            _isAbandoned = true;
            _mainChannel?.Close();

            // Where every reader has come to its channel's end, nothing is left in one.
            foreach (var channel in _accepting is { IsCompleted: true } ? [] : _channels)
                _emptying.Add(Task.Factory.StartNew(() => Empty(channel), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default));
        }

        _listener.Close();
        _sink.TrySetCanceled();
        _sync.End();
    }

    /// <summary>Throws what ended the channels, if something did.</summary>
    public void Throw()
    {
        lock (_gate)
        {
            if (_failure is { } failure)
                ExceptionDispatchInfo.Throw(failure);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Abandon();
        lock (_gate)
        {
            foreach (var channel in _channels)
                channel.Close();
        }

        _listener.Dispose();
    }

    private async Task AcceptAsync()
    {
        List<Task> readers = [];
        try
        {
            while (readers.Count < _sync.Channels || !_main.Task.IsCompleted)
            {
                var socket = await _listener.AcceptAsync();
                if (QmpClient.PeerOf(socket) != _pid || !TryKeep(socket))
                    socket.Dispose();
                else if (!_main.TrySetResult(socket))
                    readers.Add(Task.Factory.StartNew(() => Read(socket), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            Fail(e);
        }

        await Task.WhenAll(readers);
    }

    private bool TryKeep(Socket socket)
    {
        lock (_gate)
        {
            if (_isAbandoned)
                return false;
            if (_mainChannel is null)
                _mainChannel = socket;
            else
                _channels.Add(socket);
            return true;
        }
    }

    private void Read(Socket socket)
    {
        try
        {
#pragma warning disable VSTHRD002 // A thread of its own waits here; no context can deadlock.
            var sink = _sink.Task.GetAwaiter().GetResult();
#pragma warning restore VSTHRD002
            using var stream = new ChannelStream(socket, this);
            new MultifdPackets(stream, sink, _sync).Read();

            // It has met the others for the last time; who still waits for it waits in vain.
            _sync.End();
        }
        catch (Exception e)
        {
            Fail(e);
        }
    }

    /// <summary>Whatever it was, the stream is of no use without this channel.</summary>
    private void Fail(Exception failure)
    {
        lock (_gate)
        {
            if (!_isAbandoned)
                _failure ??= failure;
        }

        Abandon();
    }

    private static void Empty(Socket channel)
    {
        var rest = new byte[64 << 10];
        try
        {
            while (channel.Receive(rest) > 0)
            {
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // QEMU is gone, or did not close it in time.
        }
    }

    /// <summary>What is read of a channel that is being emptied has gaps, and is not handed out.</summary>
    private sealed class ChannelStream(Socket socket, MultifdChannels owner) : NetworkStream(socket, ownsSocket: false)
    {
        public override int Read(Span<byte> buffer)
        {
            var count = base.Read(buffer);
            return owner._isAbandoned ? throw new IOException("The migration was given up.") : count;
        }
    }
}

using System.Net.Sockets;
using System.Text.Json;

namespace DistMigrate.Client.Qmp;

/// <summary>A QMP connection for the few commands without arguments that the client itself sends.</summary>
internal sealed class QmpMonitor : IAsyncDisposable
{
    private readonly Stream _commands;
    private readonly StreamReader _replies;

    private QmpMonitor(Stream replies, Stream commands)
    {
        _commands = commands;
        _replies = new StreamReader(replies);
    }

    /// <summary>Connects to the socket on which a QEMU listens.</summary>
    public static async Task<QmpMonitor> ConnectAsync(string path, CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation);
            return await OpenAsync(socket, cancellation);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Speaks on a connected socket, which it owns from then on.</summary>
    /// <exception cref="CommandException">The other end is no monitor, or hung up.</exception>
    public static Task<QmpMonitor> OpenAsync(Socket socket, CancellationToken cancellation)
    {
        var stream = new NetworkStream(socket, ownsSocket: true);
        return OpenAsync(stream, stream, cancellation);
    }

    /// <summary>Speaks by two streams, such as those of a process, which it owns from then on.</summary>
    /// <exception cref="CommandException">The other end is no monitor, or hung up.</exception>
    public static async Task<QmpMonitor> OpenAsync(Stream replies, Stream commands, CancellationToken cancellation)
    {
        var monitor = new QmpMonitor(replies, commands);
        if (!(await monitor.ReadAsync(cancellation)).TryGetProperty("QMP", out _))
            throw new CommandException(ExitCode.Failed, "what answers there is not a QMP monitor.");
        await monitor.ExecuteAsync("qmp_capabilities", cancellation);
        return monitor;
    }

    /// <summary>Sends a command and gives what it returned.</summary>
    /// <exception cref="CommandException">QEMU refused it or hung up.</exception>
    public async Task<JsonElement> ExecuteAsync(string command, CancellationToken cancellation)
    {
        await _commands.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(
            new Dictionary<string, string> { ["execute"] = command }, QmpJson.Default.DictionaryStringString), cancellation);
        await _commands.FlushAsync(cancellation);
        while (true)
        {
            var reply = await ReadAsync(cancellation);
            if (reply.TryGetProperty("return", out var value))
                return value;
            if (reply.TryGetProperty("error", out var error))
                throw new CommandException(ExitCode.Failed, $"QEMU refused {command}: {error.GetProperty("desc").GetString()}");
        }
    }

    /// <summary>The guest's run state in QEMU's words.</summary>
    public async Task<string> RunStateAsync(CancellationToken cancellation) =>
        (await ExecuteAsync("query-status", cancellation)).GetProperty("status").GetString()!;

    public ValueTask DisposeAsync()
    {
        _replies.Dispose();
        return _commands.DisposeAsync();
    }

    private async Task<JsonElement> ReadAsync(CancellationToken cancellation)
    {
        var line = await _replies.ReadLineAsync(cancellation)
            ?? throw new CommandException(ExitCode.Failed, "QEMU hung up its monitor.");
        try
        {
            return JsonDocument.Parse(line).RootElement;
        }
        catch (JsonException e)
        {
            throw new CommandException(ExitCode.Failed, "what answers there is not a QMP monitor.", innerException: e);
        }
    }
}

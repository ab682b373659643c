using System.Net.Sockets;
using System.Text.Json;

namespace DistMigrate.Client.Demo;

/// <summary>A QMP connection for the few commands without arguments that the demo sends beside the silo's own connection.</summary>
internal sealed class DemoMonitor : IAsyncDisposable
{
    private readonly NetworkStream _stream;
    private readonly StreamReader _reader;

    private DemoMonitor(Socket socket)
    {
        _stream = new NetworkStream(socket, ownsSocket: true);
        _reader = new StreamReader(_stream);
    }

    public static async Task<DemoMonitor> ConnectAsync(string path, CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation);
            var monitor = new DemoMonitor(socket);
            await monitor.ReadAsync(cancellation);
            await monitor.ExecuteAsync("qmp_capabilities", cancellation);
            return monitor;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Sends a command and gives what it returned.</summary>
    /// <exception cref="CommandException">QEMU refused it or hung up.</exception>
    public async Task<JsonElement> ExecuteAsync(string command, CancellationToken cancellation)
    {
        await _stream.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(
            new Dictionary<string, string> { ["execute"] = command }, DemoJson.Default.DictionaryStringString), cancellation);
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
        _reader.Dispose();
        return _stream.DisposeAsync();
    }

    private async Task<JsonElement> ReadAsync(CancellationToken cancellation)
    {
        var line = await _reader.ReadLineAsync(cancellation)
            ?? throw new CommandException(ExitCode.Failed, "QEMU hung up its monitor.");
        return JsonDocument.Parse(line).RootElement;
    }
}

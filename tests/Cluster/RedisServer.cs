using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>A real redis-server on loopback that writes every change to its disk, in a folder of its own.</summary>
internal sealed class RedisServer : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("dm-redis-").FullName;
    private readonly int _port = FreePort();
    private readonly bool _isPersistent;
    private Process? _process;

    private RedisServer(bool isPersistent) => _isPersistent = isPersistent;

    /// <summary>How silos and clients reach it.</summary>
    public string ConnectionString => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{_port}");

    public static async Task<RedisServer> StartAsync(bool isPersistent = true)
    {
        var server = new RedisServer(isPersistent);
        await server.StartAgainAsync();
        return server;
    }

    /// <summary>Kills it: what it had written is there when it is started again.</summary>
    public async Task KillAsync()
    {
        _process!.Kill();
        await _process.WaitForExitAsync().WaitAsync(Wait.Ordinary);
        _process.Dispose();
        _process = null;
    }

    public async Task StartAgainAsync()
    {
        var start = new ProcessStartInfo("redis-server",
        [
            "--port", _port.ToString(CultureInfo.InvariantCulture), "--bind", "127.0.0.1", "--dir", _folder, "--save", "",
            "--appendonly", _isPersistent ? "yes" : "no", "--appendfsync", "always", "--logfile", Path.Combine(_folder, "log"),
        ]);
        _process = Process.Start(start)!;
        await Wait.UntilAsync(IsReadyAsync, "Redis answers", details: () => File.ReadAllText(Path.Combine(_folder, "log")));
    }

    /// <summary>Keeps a copy of what it has on its disk now.</summary>
    public void Remember()
    {
        Forget(Path.Combine(_folder, "older"));
        Copy(Path.Combine(_folder, "appendonlydir"), Path.Combine(_folder, "older"));
    }

    /// <summary>What came after <see cref="Remember"/> is lost, as after a power cut. It does not run meanwhile.</summary>
    public void LoseWhatCameLater()
    {
        Forget(Path.Combine(_folder, "appendonlydir"));
        Copy(Path.Combine(_folder, "older"), Path.Combine(_folder, "appendonlydir"));
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
            await KillAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private static void Forget(string folder)
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.EnumerateFiles(from))
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }

    /// <summary>One below those of outgoing connections: while it does not run, a client's attempt to connect would be served by itself.</summary>
    private static int FreePort()
    {
        while (true)
        {
            using var listener = new TcpListener(IPAddress.Loopback, Random.Shared.Next(10240, 32768));
            try
            {
                listener.Start();
                return ((IPEndPoint)listener.LocalEndpoint).Port;
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
            }
        }
    }

    /// <summary>While it reads its file it answers with an error.</summary>
    private async Task<bool> IsReadyAsync()
    {
        using var client = new TcpClient();
        try
        {
            await client.ConnectAsync(IPAddress.Loopback, _port);
            await using var stream = client.GetStream();
            await stream.WriteAsync("PING\r\n"u8.ToArray());
            using var reader = new StreamReader(stream);
            return await reader.ReadLineAsync().WaitAsync(Wait.Ordinary) == "+PONG";
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            return false;
        }
    }
}

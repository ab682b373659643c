using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using DistMigrate.Silo;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>A real redis-server, on loopback or in a place of a network, that writes every change to its disk.</summary>
internal sealed class RedisServer : IAsyncDisposable
{
    private readonly Belongings _belongings;
    private readonly NetworkPlace? _place;
    private readonly string _folder;

    /// <summary>Its own while it does not run, too.</summary>
    private readonly FreePort _port = FreePort.Choose();

    private readonly bool _isPersistent;
    private readonly string _configuration;
    private Process? _process;

    private RedisServer(Belongings belongings, bool isPersistent, NetworkPlace? place)
    {
        _belongings = belongings;
        _folder = belongings.MakeFolder("redis");
        _isPersistent = isPersistent;
        _place = place;
        _configuration = Path.Combine(_folder, "redis.conf");
        File.WriteAllText(_configuration, $"requirepass {Password}\n");
    }

    /// <summary>It asks everybody for it.</summary>
    public string Password { get; } = $"pass-{Guid.NewGuid():n}";

    /// <summary>How silos and clients reach it.</summary>
    public string ConnectionString => string.Create(CultureInfo.InvariantCulture, $"{Address}:{_port.Number},password={Password}");

    private string Address => _place?.Address ?? "127.0.0.1";

    /// <summary>Reaches it from everywhere.</summary>
    private string SocketPath => Path.Combine(_folder, "socket");

    public static async Task<RedisServer> StartAsync(Belongings belongings, bool isPersistent, NetworkPlace? place)
    {
        var server = new RedisServer(belongings, isPersistent, place);
        await server.StartAgainAsync();
        return server;
    }

    /// <summary>Lets everybody wait for answers, as when it hangs.</summary>
    public async Task HangAsync(TimeSpan time) =>
        Assert.Equal("+OK", await AskAsync(string.Create(CultureInfo.InvariantCulture, $"CLIENT PAUSE {time.TotalMilliseconds:0} ALL")));

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
            _configuration, "--port", _port.Number.ToString(CultureInfo.InvariantCulture), "--bind", Address, "--protected-mode", "no", "--unixsocket", SocketPath, "--dir", _folder, "--save", "",
            "--appendonly", _isPersistent ? "yes" : "no", "--appendfsync", "always", "--logfile", Path.Combine(_folder, "log"),
        ]);
        _place?.Take(start);
        _process = Process.Start(start)!;
        _belongings.AddProcess(_process.Id);
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
        _port.Dispose();
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

    /// <summary>While it reads its file it answers with an error.</summary>
    private async Task<bool> IsReadyAsync()
    {
        try
        {
            return await AskAsync("PING") == "+PONG";
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            return false;
        }
    }

    private async Task<string?> AskAsync(string command)
    {
        using var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await client.ConnectAsync(new UnixDomainSocketEndPoint(SocketPath));
        await using var stream = new NetworkStream(client);
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"AUTH {Password}\r\n{command}\r\n"));
        using var reader = new StreamReader(stream);
        await reader.ReadLineAsync().WaitAsync(Wait.Ordinary);
        return await reader.ReadLineAsync().WaitAsync(Wait.Ordinary);
    }
}

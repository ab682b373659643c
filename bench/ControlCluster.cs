using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using DistMigrate.Silo;
using DistMigrate.Tests.Lab;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace DistMigrate.Bench;

/// <summary>
/// One silo with its own grain storage, or several that a redis-server on loopback makes a cluster; their guests are synthetic. Disposing
/// ends what it started.
/// </summary>
internal sealed class ControlCluster : IAsyncDisposable
{
    /// <summary>Migrations that a host runs at the same time.</summary>
    public const int PlacesPerHost = 16;

    private readonly Belongings _belongings = Belongings.Create();
    private readonly List<ControlHost> _hosts = [];
    private readonly List<IHost> _clients = [];
    private Process? _redis;
    private FreePort? _redisPort;
    private string _clusterId = $"bench-{Guid.NewGuid():n}";
    private IPEndPoint[] _gateways = [];

    private ControlCluster()
    {
    }

    /// <summary>Where the metrics of the hosts are.</summary>
    public IReadOnlyList<Uri> Metrics { get; private set; } = [];

    public IReadOnlyList<ControlHost> Hosts => _hosts;

    /// <summary>Time that Redis had of the processors; zero without one.</summary>
    public TimeSpan RedisCpu
    {
        get
        {
            _redis?.Refresh();
            return _redis?.TotalProcessorTime ?? TimeSpan.Zero;
        }
    }

    /// <summary>Starts it, and waits until every host takes clients.</summary>
    /// <param name="silos">How many hosts it has.</param>
    /// <param name="images">The storage root.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <param name="places">Migrations that a host runs at the same time.</param>
    public static async Task<ControlCluster> StartAsync(int silos, string images, CancellationToken cancellationToken, int places = PlacesPerHost)
    {
        var cluster = new ControlCluster();
        try
        {
            await cluster.StartAllAsync(silos, images, places, cancellationToken);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>Another connection to it.</summary>
    public async Task<IGrainFactory> ConnectAsync(CancellationToken cancellationToken)
    {
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.ClearProviders();
        builder.UseOrleansClient(client =>
        {
            client.UseStaticClustering(_gateways);
            client.Configure<ClusterOptions>(options =>
            {
                options.ClusterId = _clusterId;
                options.ServiceId = "distmigrate";
            });
        });
        var host = builder.Build();
        _clients.Add(host);
        await host.StartAsync(cancellationToken);
        return host.Services.GetRequiredService<IGrainFactory>();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var client in _clients)
        {
            await client.StopAsync(CancellationToken.None);
            client.Dispose();
        }

        _belongings.Dispose();
        _redisPort?.Dispose();
    }

    private async Task StartAllAsync(int silos, string images, int places, CancellationToken cancellationToken)
    {
        var settings = new Dictionary<string, string>
        {
            ["DISTMIGRATE_Storage__Roots__0"] = images,
            ["DISTMIGRATE_Limits__MaxPerStorage"] = (silos * places).ToString(CultureInfo.InvariantCulture),
        };
        if (silos > 1)
        {
            settings["DISTMIGRATE_Cluster__Provider"] = "Redis";
            settings["DISTMIGRATE_Cluster__ConnectionString"] = await StartRedisAsync(cancellationToken);
            settings["DISTMIGRATE_Cluster__Id"] = _clusterId;
        }

        for (var i = 0; i < silos; i++)
            _hosts.Add(ControlHost.Start(_belongings, string.Create(CultureInfo.InvariantCulture, $"host-{i + 1}"), places, settings));
        var ready = await Task.WhenAll(_hosts.Select(host => host.WaitUntilReadyAsync(cancellationToken)));
        _gateways = [.. ready.Select(host => IPEndPoint.Parse(host.Gateway))];
        _clusterId = ready[0].ClusterId;
        Metrics = [.. ready.Select(host => host.Metrics)];
    }

    /// <summary>A Redis as docs/cluster.md asks for it.</summary>
    /// <returns>How silos reach it.</returns>
    private async Task<string> StartRedisAsync(CancellationToken cancellationToken)
    {
        _redisPort = FreePort.Choose();
        var port = _redisPort.Number;
        var folder = _belongings.MakeFolder("redis");
        _redis = Process.Start(new ProcessStartInfo("redis-server",
        [
            "--port", port.ToString(CultureInfo.InvariantCulture), "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes",
            "--appendfsync", "everysec", "--logfile", Path.Combine(folder, "log"),
        ]))!;
        _belongings.AddProcess(_redis.Id);
        await Wait.UntilAsync(() => Answers(port), "Redis answers", cancellationToken: cancellationToken);
        return string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");
    }

    private static bool Answers(int port)
    {
        using var client = new TcpClient();
        try
        {
            client.Connect(IPAddress.Loopback, port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}

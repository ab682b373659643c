using System.Net;
using System.Reflection;
using System.Security.Cryptography;
using System.Text;
using DistMigrate.Grains;
using DistMigrate.Silo.Page;
using DistMigrate.Transfer;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Persistence;
using Orleans.Serialization;
using Orleans.Storage;

namespace DistMigrate.Silo;

/// <summary>The host process: Orleans silo, grain storage, telemetry and health, put together from configuration.</summary>
internal sealed partial class SiloApplication : IAsyncDisposable
{
    private const string ServiceId = "distmigrate";

    private readonly WebApplication _application;
    private readonly SiloArguments _arguments;
    private readonly SiloSettings _settings;
    private readonly EndpointFile _endpoint;
    private readonly SiloPorts _ports;

    private SiloApplication(WebApplication application, SiloArguments arguments, SiloSettings settings, EndpointFile endpoint, SiloPorts ports)
    {
        _application = application;
        _arguments = arguments;
        _settings = settings;
        _endpoint = endpoint;
        _ports = ports;
    }

    /// <summary>The silo's version, with its commit.</summary>
    public static string Version { get; } =
        typeof(SiloApplication).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    /// <summary>Puts it together.</summary>
    /// <param name="arguments">The command line.</param>
    /// <param name="replace">Replaces services, for a silo whose guests are not real; the product's own has none.</param>
    /// <exception cref="SettingsException">The settings cannot be used.</exception>
    public static SiloApplication Build(SiloArguments arguments, Action<IServiceCollection>? replace = null)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = arguments.StateFolder });
        // Nothing of the framework's own configuration; it takes a source to keep what is set below.
        builder.Configuration.Sources.Clear();
        builder.Configuration.AddInMemoryCollection();
        var settings = SettingsReader.Load(arguments.ConfigFile, Environment.GetEnvironmentVariables());

        var address = IPAddress.Parse(settings.Address);
        var ports = new SiloPorts(settings);
        var endpoint = new EndpointFile(
            Environment.ProcessId, settings.Host, new IPEndPoint(address, ports.Gateway).ToString(),
            settings.Cluster.Provider == ClusterProvider.Local ? EndpointFile.NewClusterId() : settings.Cluster.Id, ServiceId,
            $"http://{new IPEndPoint(IPAddress.Parse(settings.HttpAddress), ports.Http)}", Version);
        builder.WebHost.UseUrls(endpoint.Http);
        ConfigureLogging(builder.Logging, settings);
        builder.Services.AddSingleton(Options.Create(settings.ToHostOptions(arguments.StateFolder)));
        builder.Services.AddSingleton<ClientActivity>();
        if (arguments.Background)
            builder.Services.AddHostedService(services => ActivatorUtilities.CreateInstance<IdleExit>(services, settings.IdleExit));
        SiloTelemetry.Add(builder.Services, settings);
        builder.Services.AddSingleton<StatusReader>();
        builder.UseOrleans(silo => ConfigureSilo(silo, arguments, settings, endpoint, ports.Silo));
        replace?.Invoke(builder.Services);

        var application = builder.Build();
        application.MapPrometheusScrapingEndpoint("/metrics");
        application.MapGet("/healthz", () => Results.Text("ok\n"));
        application.MapStatusPage(IPAddress.Parse(settings.HttpAddress));
        return new SiloApplication(application, arguments, settings, endpoint, ports);
    }

    /// <summary>Restores stopped guests, starts the silo, tells clients where it is, and runs until it is told to end.</summary>
    /// <exception cref="InvalidOperationException">Another silo has this host's name.</exception>
    public async Task RunAsync(SiloLock locks)
    {
        PrivateFolder.Create(RuntimeFolder.Path);
        if (!locks.TryAdd(Path.Combine(RuntimeFolder.Path, $"host-{_settings.Host}-{ClusterMark()}.lock")))
            throw new InvalidOperationException($"another silo of host {_settings.Host} runs on this machine. End it, or give this one another name (Host).");
        EndpointFile.Remove(_arguments.StateFolder);
        var logger = _application.Services.GetRequiredService<ILogger<SiloApplication>>();

        // Before anything else: a guest that our predecessor stopped must not wait for a cluster to form.
        await _application.Services.GetRequiredService<StopRecords>().RestoreAllAsync(
            (migration, record, error) =>
            {
                if (error is null)
                    LogRestored(logger, record?.Guest ?? "", migration);
                else
                    LogNotRestored(logger, record?.Guest ?? "(its record cannot be read)", migration, error);
            },
            CancellationToken.None);
        SiloTelemetry.Begin(_application.Services);
        await _application.StartAsync();
        _endpoint.Write(_arguments.StateFolder);
        LogReady(logger, _settings.Host, _endpoint.Gateway, _endpoint.Http);
        if (_settings.Cluster is { Provider: ClusterProvider.Redis, Tls.IsOn: false } && !IPAddress.IsLoopback(IPAddress.Parse(_settings.Address)))
            LogNoTls(logger, _settings.Address);
        await _application.WaitForShutdownAsync();
        EndpointFile.Remove(_arguments.StateFolder);
    }

    public async ValueTask DisposeAsync()
    {
        await _application.DisposeAsync();
        _ports.Dispose();
    }

    private static void ConfigureLogging(ILoggingBuilder logging, SiloSettings settings)
    {
        logging.ClearProviders();
        logging.Configure(factory => factory.ActivityTrackingOptions = ActivityTrackingOptions.None);
        if (settings.Log.Format == LogFormat.Json)
        {
            logging.Services.AddSingleton<IExternalScopeProvider>(new HostScopeProvider(settings.Host));
            logging.AddJsonConsole(console =>
            {
                console.IncludeScopes = true;
                console.UseUtcTimestamp = true;
                console.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ";
            });
        }
        else
        {
            // systemd.exec(5): set where standard output goes to the journal.
            logging.AddConsole(console => console.FormatterName = SiloLogFormatter.FormatterName);
            logging.AddConsoleFormatter<SiloLogFormatter, SiloLogOptions>(console =>
                (console.Host, console.IsJournal) = (settings.Host, Environment.GetEnvironmentVariable("JOURNAL_STREAM") is { Length: > 0 }));
        }

        logging.SetMinimumLevel(LogLevel.Warning);
        logging.AddFilter("DistMigrate", settings.Log.Level);

        // Orleans tells each placement failure at Information through Polly, and as an error once more.
        logging.AddFilter("Polly", LogLevel.Error);

        // At start these warn of a check that is as old as the machine's uptime, and of a garbage collector chosen for its small memory.
        logging.AddFilter("Orleans.Runtime.Watchdog", LogLevel.Error);
        logging.AddFilter("Orleans.Runtime.Silo", LogLevel.Error);
    }

    private static void ConfigureSilo(ISiloBuilder silo, SiloArguments arguments, SiloSettings settings, EndpointFile endpoint, int siloPort)
    {
        silo.AddMigrationGrains(settings.Host);
        silo.Services.AddSingleton<IIncomingGrainCallFilter>(services => services.GetRequiredService<ClientActivity>());
        if (settings.Cluster.Provider == ClusterProvider.Redis)
            JoinByRedis(silo, settings, endpoint, siloPort);
        else
            StandAlone(silo, arguments, endpoint, siloPort);
        silo.Configure<SiloMessagingOptions>(messaging =>
        {
            messaging.ResponseTimeout = TimeSpan.FromSeconds(15);
            messaging.CancelRequestOnTimeout = true;
            messaging.MaxMessageBodySize = 4 << 20;
        });
    }

    private static void StandAlone(ISiloBuilder silo, SiloArguments arguments, EndpointFile endpoint, int siloPort)
    {
        var gateway = IPEndPoint.Parse(endpoint.Gateway);
        silo.UseLocalhostClustering(siloPort, gateway.Port, primarySiloEndpoint: null, ServiceId, endpoint.ClusterId);
        silo.Services.AddKeyedSingleton<IGrainStorage>(StorageNames.Migrations, (services, _) =>
            new SqliteGrainStorage(Path.Combine(arguments.StateFolder, "grains.sqlite"), services.GetRequiredService<Serializer>()));
    }

    private static void JoinByRedis(ISiloBuilder silo, SiloSettings settings, EndpointFile endpoint, int siloPort)
    {
        var gateway = IPEndPoint.Parse(endpoint.Gateway);
        silo.Configure<ClusterOptions>(cluster =>
        {
            cluster.ClusterId = endpoint.ClusterId;
            cluster.ServiceId = ServiceId;
        });
        silo.Configure<EndpointOptions>(own =>
        {
            own.AdvertisedIPAddress = gateway.Address;
            own.GatewayPort = gateway.Port;
            own.SiloPort = siloPort;
            own.GatewayListeningEndpoint = gateway;
            own.SiloListeningEndpoint = new IPEndPoint(gateway.Address, siloPort);
        });

        // Measured: a killed silo is known dead after 1.2 to 1.5 s, one that hangs after 6 s.
        silo.Configure<ClusterMembershipOptions>(membership =>
        {
            membership.ProbeTimeout = TimeSpan.FromSeconds(1);
            membership.MaxProbeTimeout = TimeSpan.FromSeconds(2);
            membership.TableRefreshTimeout = TimeSpan.FromSeconds(5);
            membership.IAmAliveTablePublishTimeout = TimeSpan.FromSeconds(5);
        });
        silo.UseRedisClustering(redis => redis.ConfigurationOptions = settings.Cluster.ToRedisOptions());
        silo.AddRedisGrainStorage(StorageNames.Migrations, (OptionsBuilder<RedisStorageOptions> redis) => redis.Configure<Serializer>((options, serializer) =>
        {
            options.ConfigurationOptions = settings.Cluster.ToRedisOptions();
            options.GrainStorageSerializer = new OrleansGrainStorageSerializer(serializer);
            options.DeleteStateOnClear = true;
        }));
        if (settings.Cluster.Tls.IsOn)
            SiloTls.AddTo(silo, settings.Cluster.Tls);
        silo.Services.AddHostedService(services => ActivatorUtilities.CreateInstance<RedisPersistence>(services, settings.Cluster));
    }

    /// <summary>Tells the silos of different clusters on one machine apart: each user's or test's own silo is a cluster of its own.</summary>
    private string ClusterMark()
    {
        var mark = _settings.Cluster.Provider == ClusterProvider.Local ? _arguments.StateFolder : _settings.Cluster.Id;
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(mark)))[..12];
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Silo of host {Host} is ready: gateway {Gateway}, status page {Http}, metrics {Http}/metrics")]
    private static partial void LogReady(ILogger logger, string host, string gateway, string http);

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "Gateway and silo port listen on {Address} without TLS: who reads that network can command the silos. Set Cluster:Tls:Certificate, :Key and :Authority")]
    private static partial void LogNoTls(ILogger logger, string address);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Guest {Guest} has its run state back, which migration {Id} of an earlier silo had stopped")]
    private static partial void LogRestored(ILogger logger, string guest, string id);

    [LoggerMessage(Level = LogLevel.Error, Message = "Guest {Guest}, stopped by migration {Id} of an earlier silo, could not be given its run state back; look at it")]
    private static partial void LogNotRestored(ILogger logger, string guest, string id, Exception exception);
}

using DistMigrate.Grains.Metrics;
using DistMigrate.Grains.Placement;
using DistMigrate.Guests;
using DistMigrate.Transfer;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using Orleans.Runtime.MembershipService.SiloMetadata;

namespace DistMigrate.Grains;

/// <summary>Adds the grains and what they stand on to a silo.</summary>
public static class GrainServices
{
    /// <summary>The meters that a telemetry pipeline subscribes to.</summary>
    public static IReadOnlyList<string> Meters { get; } =
        [MigrationMetrics.MeterName, BlockMetrics.MeterName, StorageMetrics.MeterName, HostMetrics.MeterName];

    /// <summary>The source of traces that a telemetry pipeline subscribes to.</summary>
    public static string TraceSource => Tracing.Traces.SourceName;

    /// <summary>Adds them. The silo gives a storage provider named <see cref="StorageNames.Migrations"/> and <see cref="HostOptions"/>.</summary>
    /// <param name="silo">The silo.</param>
    /// <param name="host">The host's name, published as the silo's metadata.</param>
    public static ISiloBuilder AddMigrationGrains(this ISiloBuilder silo, string host)
    {
        ArgumentNullException.ThrowIfNull(silo);
        silo.UseSiloMetadata(new Dictionary<string, string> { [HostPinnedDirector.HostKey] = host });
        silo.Services.AddPlacementDirector<HostPinnedPlacement, HostPinnedDirector>();
        silo.AddIncomingGrainCallFilter<FailureFilter>();
        silo.Services.TryAddSingleton(TimeProvider.System);
        silo.Services.TryAddSingleton(QemuGuest.Connector);
        silo.Services.AddSingleton(services => new StopRecords(
            Path.Combine(services.GetRequiredService<IOptions<HostOptions>>().Value.StateFolder, "stopped"),
            services.GetRequiredService<TimeProvider>()));
        silo.Services.AddSingleton(services => new LoadRecords(Path.Combine(services.GetRequiredService<IOptions<HostOptions>>().Value.StateFolder, "loads")));
        silo.Services.AddSingleton<ClusterView>();
        silo.Services.AddHostedService(services => services.GetRequiredService<ClusterView>());
        silo.Services.AddSingleton<HostedMigrations>();
        silo.Services.AddHostedService(services => services.GetRequiredService<HostedMigrations>());
        silo.Services.AddSingleton<MigrationMetrics>();
        silo.Services.AddSingleton<BlockMetrics>();
        silo.Services.AddSingleton<HostMetrics>();
        silo.Services.AddSingleton<StorageMetrics>();
        silo.Services.AddSingleton<IStorageObserver>(services => services.GetRequiredService<StorageMetrics>());
        silo.Services.AddSingleton(services => new StorageSpaces(
            services.GetRequiredService<IOptions<HostOptions>>().Value.StorageRoots, services.GetRequiredService<TimeProvider>()));
        silo.Services.AddHostedService<StorageSampler>();
        silo.Services.AddHostedService<GuestWatch>();
        silo.Services.AddHostedService<LoadSupervisor>();
        silo.Services.AddHostedService<ForsakenGuests>();
        silo.Services.AddSingleton<MigrationSupervisor>();
        silo.Services.AddHostedService(services => services.GetRequiredService<MigrationSupervisor>());
        return silo;
    }
}

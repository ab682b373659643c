using DistMigrate.Grains;
using DistMigrate.Grains.Metrics;
using OpenTelemetry.Metrics;

namespace DistMigrate.Silo;

/// <summary>What a silo tells of itself: its metrics, for Prometheus to scrape.</summary>
internal static class SiloTelemetry
{
    /// <summary>Instruments that are ever made, those that are made anew counted each time: one costs OpenTelemetry 8 bytes.</summary>
    private const int MostStreams = 100_000;

    /// <summary>Adds it to a silo's services.</summary>
    public static void Add(IServiceCollection services)
    {
        services.AddOpenTelemetry().WithMetrics(metrics => metrics
            .AddMeter([.. GrainServices.Meters, SiloMetrics.MeterName, "Microsoft.Orleans"])
            .AddRuntimeInstrumentation()
            .SetMaxMetricStreams(MostStreams)
            .AddView(instrument => MetricCatalog.Find(instrument.Name) is { Kind: not MetricKind.Histogram } metric
                ? new MetricStreamConfiguration { CardinalityLimit = metric.MostSeries }
                : null)
            .AddPrometheusExporter());
        services.AddSingleton<SiloMetrics>();
    }

    /// <summary>Makes all instruments, once somebody listens.</summary>
    public static void Begin(IServiceProvider services)
    {
        services.GetRequiredService<SiloMetrics>();
        services.GetRequiredService<BlockMetrics>();
        services.GetRequiredService<HostMetrics>();
        services.GetRequiredService<MigrationMetrics>().Begin();
        services.GetRequiredService<StorageMetrics>().Begin();
    }
}

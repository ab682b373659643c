using System.Diagnostics.Metrics;
using System.Reflection;
using DistMigrate.Grains;

namespace DistMigrate.Silo;

/// <summary>Metrics of the silo as a process.</summary>
internal sealed class SiloMetrics : IDisposable
{
    public const string MeterName = "DistMigrate.Silo";

    private readonly Meter _meter;

    public SiloMetrics(IMeterFactory meters, MigrationSupervisor supervisor)
    {
        _meter = meters.Create(MeterName);
        var informational = typeof(SiloMetrics).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
        var parts = informational.Split('+', 2);
        _meter.CreateObservableGauge("distmigrate.build_info",
            () => new Measurement<int>(1, new("version", parts[0]), new("commit", parts.Length > 1 ? parts[1] : "unknown")),
            description: "Build of this silo.");
        _meter.CreateObservableGauge("distmigrate.migrations_unfinished", () => supervisor.Unfinished.Count, "{migration}",
            "Unfinished migrations of the cluster, as the supervisor last saw them.");
    }

    public void Dispose() => _meter.Dispose();
}

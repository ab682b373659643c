using System.Diagnostics.Metrics;
using DistMigrate.Grains;
using DistMigrate.Grains.Metrics;

namespace DistMigrate.Silo;

/// <summary>Metrics of the silo as a process, and the beginning of all others.</summary>
internal sealed class SiloMetrics : IDisposable
{
    public const string MeterName = "DistMigrate.Silo";

    private readonly Meter _meter = new(MeterName);

    public SiloMetrics(MigrationSupervisor supervisor)
    {
        var parts = SiloApplication.Version.Split('+', 2);
        MetricCatalog.BuildInfo.Observe(_meter, () => [new Measurement<long>(1, new("version", parts[0]), new("commit", parts.Length > 1 ? parts[1] : "unknown"))]);
        MetricCatalog.Unfinished.Observe(_meter, () => [new Measurement<long>(supervisor.Unfinished.Count)]);
    }

    public void Dispose() => _meter.Dispose();
}

using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Unit.Deploy;

/// <summary>Where the files for Prometheus are.</summary>
internal static class RuleFiles
{
    public static string Configuration { get; } = Repository.At("deploy", "prometheus", "prometheus.yml");

    public static string Recording { get; } = Repository.At("deploy", "prometheus", "rules", "recording.yml");

    public static string Alerts { get; } = Repository.At("deploy", "prometheus", "rules", "alerts.yml");

    public static IReadOnlyList<string> Tests { get; } =
        [.. Directory.EnumerateFiles(Repository.At("deploy", "prometheus", "tests"), "*.yml").Order(StringComparer.Ordinal)];
}

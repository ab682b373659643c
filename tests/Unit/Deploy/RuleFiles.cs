namespace DistMigrate.Tests.Unit.Deploy;

/// <summary>Where the files for Prometheus are.</summary>
internal static class RuleFiles
{
    public static string Configuration { get; } = Repository.Path("deploy/prometheus/prometheus.yml");

    public static string Recording { get; } = Repository.Path("deploy/prometheus/rules/recording.yml");

    public static string Alerts { get; } = Repository.Path("deploy/prometheus/rules/alerts.yml");

    public static IReadOnlyList<string> Tests { get; } =
        [.. Directory.EnumerateFiles(Repository.Path("deploy/prometheus/tests"), "*.yml").Order(StringComparer.Ordinal)];
}

using System.Text.RegularExpressions;
using DistMigrate.Grains.Metrics;

namespace DistMigrate.Tests.Unit.Deploy;

/// <summary>The metrics that there are: what the catalog has, what our rules record, and what Prometheus, Orleans and .NET have beside them.</summary>
internal static partial class KnownMetrics
{
    private static readonly string[] Others = ["up", "scrape_duration_seconds"];
    private static readonly string[] Endings = ["_bucket", "_sum", "_count"];
    private static readonly HashSet<string> Ours = [.. MetricCatalog.All.Select(metric => metric.PrometheusName)];
    private static readonly HashSet<string> Recorded = [.. Record().Matches(File.ReadAllText(RuleFiles.Recording)).Select(match => match.Groups[1].Value)];

    /// <summary>The names of ours; those of histograms without an ending.</summary>
    public static IReadOnlySet<string> Names => Ours;

    /// <summary>Whether a series of this name can be there.</summary>
    public static bool Has(string name) =>
        name.StartsWith("distmigrate_", StringComparison.Ordinal) ? HasOurs(name)
        : Recorded.Contains(name) || Others.Contains(name) || name.StartsWith("orleans_", StringComparison.Ordinal) || name.StartsWith("dotnet_", StringComparison.Ordinal);

    private static bool HasOurs(string name) =>
        Ours.Contains(name) || Endings.Any(ending => name.EndsWith(ending, StringComparison.Ordinal) && Ours.Contains(name[..^ending.Length]));

    [GeneratedRegex(@"^ +- record: (\S+)$", RegexOptions.Multiline)]
    private static partial Regex Record();
}

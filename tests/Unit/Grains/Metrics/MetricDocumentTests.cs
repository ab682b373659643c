using System.Text.RegularExpressions;
using DistMigrate.Grains.Metrics;

namespace DistMigrate.Tests.Unit.Grains.Metrics;

public sealed partial class MetricDocumentTests
{
    [Fact]
    public void The_documentation_has_the_metrics_as_they_are() => Assert.True(
        File.ReadAllText(Repository.Path("docs/metrics.md")).Contains("\n\n" + MetricDocument.ToMarkdown() + "\n", StringComparison.Ordinal),
        "docs/metrics.md does not have the tables that distmigrate-silo --describe-metrics prints; eng/update-docs writes them.");

    [Fact]
    public void Every_metric_has_a_sentence_and_a_name_that_Prometheus_takes()
    {
        Assert.Equal(MetricCatalog.All.Count, MetricCatalog.All.Select(metric => metric.PrometheusName).Distinct().Count());
        Assert.All(MetricCatalog.All, metric =>
        {
            Assert.Matches(Name(), metric.PrometheusName);
            Assert.All(metric.Labels, label => Assert.Matches(Name(), label));
            Assert.EndsWith(".", metric.Help, StringComparison.Ordinal);
            Assert.Equal(metric.Kind == MetricKind.Histogram, metric.Bounds.Count > 0);
            Assert.Equal(metric.Bounds.Order(), metric.Bounds);
        });
    }

    [Theory]
    [InlineData("distmigrate_ramblock_pages")]
    [InlineData("distmigrate_block_written_bytes_total")]
    [InlineData("distmigrate_migration_dirty_rate_bytes_per_second")]
    [InlineData("distmigrate_block_write_duration_seconds")]
    [InlineData("distmigrate_migration_progress_ratio")]
    public void Names_are_those_that_dashboards_use(string name) => Assert.Contains(name, MetricCatalog.All.Select(metric => metric.PrometheusName));

    [GeneratedRegex("^[a-z][a-z_]*$")]
    private static partial Regex Name();
}

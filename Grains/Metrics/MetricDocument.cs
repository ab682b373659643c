using System.Text;

namespace DistMigrate.Grains.Metrics;

/// <summary>The tables of docs/metrics.md, as the catalog has them.</summary>
internal static class MetricDocument
{
    private static readonly (string Title, string Text, MetricDefinition First)[] Chapters =
    [
        ("Silo and host", "Of the silo that is asked and its host.", MetricCatalog.BuildInfo),
        ("Migrations",
            "Of the migrations that the silo coordinates, which may be any of the cluster; after the loss of a silo another one tells of them. "
            + "A guest's series are those of its latest migration. They stay for 15 minutes after its end (at most 500 ended migrations), "
            + "but those that tell of a moment (rates, what remains, the expected downtime) go with it.",
            MetricCatalog.Info),
        ("RAMBlocks",
            "Of the saves and moves out of the silo's host. They come from the bitmaps at the moment of the scrape and go with the save; what was written "
            + "stays for 15 minutes after it (at most 100 guests).",
            MetricCatalog.RamBlockPages),
        ("Storage", "Of what this silo asks of its storage, and sees of it. `storage` is a configured storage root.", MetricCatalog.Writes),
    ];

    /// <summary>The tables.</summary>
    public static string ToMarkdown()
    {
        var page = new StringBuilder();
        foreach (var metric in MetricCatalog.All)
        {
            if (Array.Find(Chapters, chapter => chapter.First == metric) is { First: not null } begun)
            {
                page.Append(page.Length == 0 ? "## " : "\n## ").Append(begun.Title).Append("\n\n").Append(begun.Text).Append('\n');
                page.Append("\n| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n");
            }

            page.Append("| `").Append(metric.PrometheusName).Append("` | ").Append(metric.Kind.ToString().ToLowerInvariant()).Append(" | ")
                .AppendJoin(", ", metric.Labels.Select(label => $"`{label}`")).Append(" | ").Append(metric.Help);
            if (metric.Bounds.Count > 0)
                page.Append($" Ranges from {metric.Bounds[0]} to {metric.Bounds[^1]} s.");
            page.Append(" |\n");
        }

        page.Append('\n').Append("""
            ## Values of labels

            | Label | Values |
            |---|---|
            | `state` of pages | `dirty`, `in_flight`, `written`, `durable` |
            | `kind` of written bytes | `first`, `redirtied`, `resumed` |
            | `part` | at the source `stream`, or `device-state` with `compare` or `snapshot`, then `write`, `compare`, `publish`; at the target `preload`, `load`, `proof`, `run` |

            """);
        foreach (var (label, values) in MetricNames.Lists)
            page.Append("| ").Append(label).Append(" | ").AppendJoin(", ", values.Select(value => $"`{value}`")).Append(" |\n");
        return page.ToString().TrimEnd('\n');
    }
}

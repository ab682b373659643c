using System.Globalization;
using System.Text.RegularExpressions;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>One sample of Prometheus' text format.</summary>
/// <param name="Name">The metric.</param>
/// <param name="Labels">Its labels.</param>
/// <param name="Value">Its value.</param>
internal sealed partial record PrometheusText(string Name, IReadOnlyDictionary<string, string> Labels, double Value)
{
    /// <summary>All samples of a scrape.</summary>
    /// <exception cref="FormatException">A line is none.</exception>
    public static IReadOnlyList<PrometheusText> Parse(string text) =>
        [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line[0] != '#').Select(ParseLine)];

    /// <summary>Whether a label has this value.</summary>
    public bool Is(string label, string value) => Labels.TryGetValue(label, out var found) && found == value;

    /// <inheritdoc/>
    public override string ToString() => $"{Name}{{{string.Join(',', Labels.Select(label => $"{label.Key}={label.Value}"))}}} {Value.ToString(CultureInfo.InvariantCulture)}";

    private static PrometheusText ParseLine(string line)
    {
        var match = Sample().Match(line);
        if (!match.Success)
            throw new FormatException($"This is no sample of Prometheus' text format: {line}");
        var labels = match.Groups[2].Captures.Zip(match.Groups[3].Captures).ToDictionary(pair => pair.First.Value, pair => pair.Second.Value);
        return new PrometheusText(match.Groups[1].Value, labels, double.Parse(match.Groups[4].ValueSpan, CultureInfo.InvariantCulture));
    }

    // Name, labels, value, and perhaps a time in milliseconds.
    [GeneratedRegex("""^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?:([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?)*\})? ([^ ]+)(?: [0-9]+)?$""")]
    private static partial Regex Sample();
}

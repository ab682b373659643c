using System.Globalization;
using System.Text.Json;

namespace DistMigrate.Tests.Lab.Monitoring;

/// <summary>One series that Prometheus answers with.</summary>
/// <param name="Labels">Its labels.</param>
/// <param name="Values">Its values, in the order of time.</param>
public sealed record PrometheusSeries(IReadOnlyDictionary<string, string> Labels, IReadOnlyList<double> Values)
{
    internal static PrometheusSeries Of(JsonElement result)
    {
        var labels = result.GetProperty("metric").EnumerateObject().ToDictionary(label => label.Name, label => label.Value.GetString()!);
        return result.TryGetProperty("values", out var values)
            ? new PrometheusSeries(labels, [.. values.EnumerateArray().Select(ValueOf)])
            : new PrometheusSeries(labels, [ValueOf(result.GetProperty("value"))]);
    }

    private static double ValueOf(JsonElement sample) => sample[1].GetString() switch
    {
        "NaN" => double.NaN,
        "+Inf" => double.PositiveInfinity,
        "-Inf" => double.NegativeInfinity,
        var number => double.Parse(number!, CultureInfo.InvariantCulture),
    };
}

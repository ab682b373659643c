using System.Globalization;

namespace DistMigrate.Bench;

/// <summary>Figures of one kind, one per round.</summary>
internal sealed class Samples
{
    private readonly List<double> _values = [];

    public double Median => MedianOf(_values);

    public int Count => _values.Count;

    public double Min => _values.Min();

    public double Max => _values.Max();

    /// <summary>The value that a share of all values does not exceed.</summary>
    public double Quantile(double share) => _values.Order().ElementAt((int)Math.Ceiling(share * _values.Count) - 1);

    public void Add(double value) => _values.Add(value);

    public void Add(TimeSpan time) => _values.Add(time.TotalSeconds);

    /// <summary>The median of the rounds' ratios: what changes from round to round on a busy machine meets both sides alike.</summary>
    public double MedianRatioTo(Samples other) => MedianOf(_values.Zip(other._values, (mine, theirs) => mine / theirs));

    public static double MedianOf(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length == 0 ? double.NaN : (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    public static string Seconds(double value) => double.IsNaN(value) ? "" : value.ToString(value < 1 ? "0.000" : "0.00", CultureInfo.InvariantCulture);
}

using System.Diagnostics.Metrics;

namespace DistMigrate.Grains.Metrics;

/// <summary>What a metric is, as OpenTelemetry and Prometheus tell it apart.</summary>
internal enum MetricKind
{
    /// <summary>Goes up only, from the start of the silo.</summary>
    Counter,

    /// <summary>A value of now.</summary>
    Gauge,

    /// <summary>How often values fell into which range.</summary>
    Histogram,
}

/// <summary>One metric: instruments are made from it, and its documentation.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Name">OpenTelemetry's name, such as <c>distmigrate.ramblock.pages</c>.</param>
/// <param name="Unit">A unit of UCUM, such as <c>By</c> or <c>s</c>, or what is counted in braces; empty for a mere number.</param>
/// <param name="Help">One sentence.</param>
/// <param name="Labels">The labels that each of its series bears.</param>
internal sealed record MetricDefinition(MetricKind Kind, string Name, string Unit, string Help, params string[] Labels)
{
    /// <summary>Upper bounds of a histogram's ranges.</summary>
    public IReadOnlyList<double> Bounds { get; init; } = [];

    /// <summary>Series at most. OpenTelemetry reserves the memory for them, about 100 bytes each.</summary>
    public int MostSeries { get; init; } = 500;

    /// <summary>The name that Prometheus shows: dots become underscores, the unit is appended, and <c>_total</c> to a counter.</summary>
    public string PrometheusName => Name.Replace('.', '_')
        + Unit switch
        {
            "By" => "_bytes",
            "By/s" => "_bytes_per_second",
            "s" => "_seconds",
            _ => "",
        }
        + (Kind == MetricKind.Counter ? "_total" : "");

    /// <summary>Makes a gauge, or a counter whose value is kept elsewhere, that is asked when somebody looks.</summary>
    public void Observe(Meter meter, Func<IEnumerable<Measurement<double>>> values) => Observe<double>(meter, values);

    /// <inheritdoc cref="Observe(Meter, Func{IEnumerable{Measurement{double}}})"/>
    public void Observe(Meter meter, Func<IEnumerable<Measurement<long>>> values) => Observe<long>(meter, values);

    /// <summary>Makes a counter that is told of each event.</summary>
    public Counter<long> Count(Meter meter) => meter.CreateCounter<long>(Name, UnitOrNull, Help);

    /// <summary>Makes a histogram that is told of each value.</summary>
    public Histogram<double> Record(Meter meter) => meter.CreateHistogram(
        Name, UnitOrNull, Help, tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = Bounds });

    private string? UnitOrNull => Unit.Length == 0 ? null : Unit;

    private void Observe<T>(Meter meter, Func<IEnumerable<Measurement<T>>> values)
        where T : struct
    {
        if (Kind == MetricKind.Counter)
            meter.CreateObservableCounter(Name, values, UnitOrNull, Help);
        else
            meter.CreateObservableGauge(Name, values, UnitOrNull, Help);
    }
}

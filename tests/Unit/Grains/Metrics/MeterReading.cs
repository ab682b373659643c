using System.Diagnostics.Metrics;
using DistMigrate.Grains.Metrics;

namespace DistMigrate.Tests.Unit.Grains.Metrics;

/// <summary>Listens to meters that were made while it exists, and holds every measurement against the catalog.</summary>
internal sealed class MeterReading : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly HashSet<Meter> _meters = [];
    private readonly List<Sample> _samples = [];
    private readonly int _thread = Environment.CurrentManagedThreadId;

    public MeterReading()
    {
        // Tests run side by side, and meters are the process's: those of this test are made on its thread.
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (!instrument.Meter.Name.StartsWith("DistMigrate.", StringComparison.Ordinal))
                return;
            lock (_meters)
            {
                if (Environment.CurrentManagedThreadId == _thread && _isOpen)
                    _meters.Add(instrument.Meter);
                if (_meters.Contains(instrument.Meter))
                    listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Take(instrument, value, tags));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Take(instrument, value, tags));
        _listener.Start();
        _isOpen = true;
    }

    private readonly bool _isOpen;

    /// <summary>What the instruments say now; counters and histograms what they were told since the last time.</summary>
    public IReadOnlyList<Sample> Read()
    {
        _listener.RecordObservableInstruments();
        lock (_samples)
        {
            var samples = _samples.ToArray();
            _samples.Clear();
            return samples;
        }
    }

    public void Dispose() => _listener.Dispose();

    private void Take(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        var metric = MetricCatalog.Find(instrument.Name) ?? throw new InvalidOperationException($"{instrument.Name} is not in the catalog.");
        var labels = tags.ToArray().ToDictionary(tag => tag.Key, tag => (string)tag.Value!);
        Assert.Equal(metric.Labels, labels.Keys);
        lock (_samples)
            _samples.Add(new Sample(metric, labels, value));
    }

    /// <summary>One measurement.</summary>
    internal sealed record Sample(MetricDefinition Metric, IReadOnlyDictionary<string, string> Labels, double Value);
}

using System.Diagnostics.Metrics;

namespace DistMigrate.Grains.Metrics;

/// <summary>
/// A meter whose series come and go. OpenTelemetry forgets no series that it ever saw of an instrument, and shows no new ones once it has
/// reached its limit of them; so the instruments are made anew after so many. Their values are kept elsewhere and asked for.
/// </summary>
internal sealed class RenewingMeter : IDisposable
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(10);

    private readonly string _name;
    private readonly int _most;
    private readonly Action<Meter> _create;
    private readonly Lock _gate = new();
    private readonly HashSet<(string, string, string)> _seen = [];
    private readonly ITimer _timer;
    private Meter _meter;
    private bool _isDisposed;

    /// <summary>Makes it and its instruments.</summary>
    /// <param name="name">The meter's name.</param>
    /// <param name="most">Series after which the instruments are made anew; instruments take about twice as many, since some come between two looks.</param>
    /// <param name="create">Makes the instruments.</param>
    /// <param name="time">The clock.</param>
    public RenewingMeter(string name, int most, Action<Meter> create, TimeProvider time)
    {
        _name = name;
        _most = most;
        _create = create;
        _meter = NewMeter();
        _timer = time.CreateTimer(_ => RenewIfFull(), state: null, Every, Every);
    }

    /// <summary>A series is about to be told of. Called while somebody looks; the same one again costs nothing to speak of.</summary>
    public void Note(string first, string second = "", string third = "")
    {
        lock (_gate)
            _seen.Add((first, second, third));
    }

    /// <summary>Makes the instruments anew if their series may run out. Not to be called while somebody looks.</summary>
    public void RenewIfFull()
    {
        Meter old;
        lock (_gate)
        {
            if (_isDisposed || _seen.Count < _most)
                return;
            _seen.Clear();
            old = _meter;
        }

        // Not under the lock: a look under way holds OpenTelemetry's own and waits for ours.
        old.Dispose();
        var renewed = NewMeter();
        lock (_gate)
        {
            _meter = renewed;
            if (!_isDisposed)
                return;
        }

        renewed.Dispose();
    }

    public void Dispose()
    {
        _timer.Dispose();
        Meter meter;
        lock (_gate)
        {
            _isDisposed = true;
            meter = _meter;
        }

        meter.Dispose();
    }

    private Meter NewMeter()
    {
        var meter = new Meter(_name);
        _create(meter);
        return meter;
    }
}

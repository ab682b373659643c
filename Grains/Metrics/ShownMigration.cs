namespace DistMigrate.Grains.Metrics;

/// <summary>One migration as the metrics show it: its latest sample, and how fast it has advanced.</summary>
internal sealed class ShownMigration(TimeProvider time)
{
    /// <summary>Over how long a rate is taken.</summary>
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(10);

    /// <summary>Between two points of it at least.</summary>
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(500);

    private readonly List<(long Time, long Bytes)> _points = [];

    /// <summary>The latest sample.</summary>
    public MigrationSample? Sample { get; private set; }

    /// <summary>Takes a sample.</summary>
    public void Take(MigrationSample sample)
    {
        Sample = sample;
        var now = time.GetTimestamp();
        if (_points.Count == 0 || time.GetElapsedTime(_points[^1].Time, now) >= Pace)
            _points.Add((now, sample.Ram.NormalBytes));
        else
            _points[^1] = _points[^1] with { Bytes = sample.Ram.NormalBytes };

        Trim(now);
    }

    /// <summary>Bytes of pages written per second in the last ten seconds; a sample that does not come means that nothing advances.</summary>
    public double TransferRate()
    {
        var now = time.GetTimestamp();
        Trim(now);
        if (Sample is not { } sample || _points.Count == 0)
            return 0;
        var (since, bytes) = _points[0];
        var seconds = time.GetElapsedTime(since, now).TotalSeconds;
        return seconds <= 0 ? 0 : Math.Max(0, sample.Ram.NormalBytes - bytes) / seconds;
    }

    /// <summary>One point older than the window stays, or the window would have no beginning.</summary>
    private void Trim(long now)
    {
        while (_points.Count > 1 && time.GetElapsedTime(_points[1].Time, now) >= Window)
            _points.RemoveAt(0);
    }
}

namespace DistMigrate.Transfer;

/// <summary>What a guest stood still for, one part after the other. Thread-safe.</summary>
/// <param name="time">The clock.</param>
internal sealed class DowntimeParts(TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly List<(string Name, TimeSpan Time)> _parts = [];
    private long _since;

    /// <summary>The parts that have ended.</summary>
    public IReadOnlyList<(string Name, TimeSpan Time)> All
    {
        get
        {
            lock (_gate)
                return [.. _parts];
        }
    }

    /// <summary>The first part begins.</summary>
    public void Begin()
    {
        lock (_gate)
        {
            _parts.Clear();
            _since = time.GetTimestamp();
        }
    }

    /// <summary>A part has ended, and the next begins.</summary>
    public void End(string part)
    {
        lock (_gate)
        {
            if (_since == 0)
                return;
            var now = time.GetTimestamp();
            _parts.Add((part, time.GetElapsedTime(_since, now)));
            _since = now;
        }
    }
}

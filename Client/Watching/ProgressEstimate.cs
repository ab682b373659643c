using DistMigrate.Contracts;

namespace DistMigrate.Client.Watching;

/// <summary>
/// Tells how long the copy will still take, from the bytes that were done in the last seconds. The written rate would not do:
/// zero pages are done without being written.
/// </summary>
internal sealed class ProgressEstimate(TimeProvider time)
{
    private static readonly TimeSpan Window = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Least = TimeSpan.FromMilliseconds(500);

    private readonly Queue<(long At, long Done)> _samples = new();

    /// <summary>Adds what is known now and gives the time left; null while it cannot be told.</summary>
    public TimeSpan? Next(RamCounters ram)
    {
        var now = time.GetTimestamp();
        var done = ram.Total - ram.Remaining;
        if (_samples.Count > 0 && done < _samples.Last().Done)
            _samples.Clear();
        _samples.Enqueue((now, done));
        while (_samples.Count > 2 && time.GetElapsedTime(_samples.Peek().At, now) > Window)
            _samples.Dequeue();
        var (at, before) = _samples.Peek();
        var elapsed = time.GetElapsedTime(at, now);
        if (elapsed < Least || done <= before || ram.Remaining <= 0)
            return null;
        var seconds = elapsed.TotalSeconds * ram.Remaining / (done - before);
        return seconds < TimeSpan.FromDays(99).TotalSeconds ? TimeSpan.FromSeconds(seconds) : null;
    }
}

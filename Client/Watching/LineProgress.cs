using System.Globalization;
using DistMigrate.Client.Output;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Watching;

/// <summary>For logs and pipes: one line on each change of phase, and one every five seconds.</summary>
internal sealed class LineProgress(Terminal terminal, TimeProvider time) : IProgressView, IProgressSink
{
    private readonly ProgressEstimate _estimate = new(time);
    private MigrationPhase? _lastPhase;
    private long _lastLine;

    public TimeSpan Period { get; } = TimeSpan.FromSeconds(5);

    public bool ShowsBlocks => false;

    public Task<T> RunAsync<T>(Func<IProgressSink, Task<T>> body) => body(this);

    public void Show(Snapshot snapshot)
    {
        var status = snapshot.Status;
        var left = _estimate.Next(status.Ram);
        if (status.Phase == _lastPhase && time.GetElapsedTime(_lastLine) < Period)
            return;
        _lastPhase = status.Phase;
        _lastLine = time.GetTimestamp();
        terminal.Say(Line(status, left));
    }

    public void Say(string message) => terminal.Warn(message);

    internal static string Line(MigrationStatus status, TimeSpan? left)
    {
        var parts = new List<string>();
        if (status.QueuePosition > 0)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"position {status.QueuePosition} in the queue"));
        if (status.Ram.Total > 0)
        {
            var done = status.Ram.Total - status.Ram.Remaining;
            parts.Add($"{ByteSize.Format(done)} of {ByteSize.Format(status.Ram.Total)} ({Percent(done, status.Ram.Total)})");
        }
        if (status.BytesPerSecond > 0)
            parts.Add(ByteSize.FormatRate(status.BytesPerSecond));
        if (left is { } time && status.Phase == MigrationPhase.Active)
            parts.Add(DurationText.Format(time) + " left");
        // At the end the command itself tells the message.
        if (status.Message.Length > 0 && !MigrationWatch.IsOver(status.Phase))
            parts.Add(status.Message);
        return $"{status.Spec.Id} {status.Phase.ToName()}" + (parts.Count == 0 ? "" : ": " + string.Join(", ", parts));
    }

    internal static string Percent(long part, long whole) =>
        (whole == 0 ? 0 : Math.Floor(100.0 * part / whole)).ToString("0", CultureInfo.InvariantCulture) + " %";
}

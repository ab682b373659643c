using System.Globalization;
using DistMigrate.Client.Output;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Watching;

/// <summary>For logs and pipes: one line on each change of phase, one on each try of storage that fails, and one every five seconds of work.</summary>
internal sealed class LineProgress(Terminal terminal, TimeProvider time) : IProgressView, IProgressSink
{
    private readonly ProgressEstimate _estimate = new(time);
    private (MigrationPhase, FailureReason?, int)? _last;
    private long _lastLine;

    public TimeSpan Period { get; } = TimeSpan.FromSeconds(5);

    public bool ShowsBlocks => false;

    public Task<T> RunAsync<T>(Func<IProgressSink, Task<T>> body) => body(this);

    public void Show(Snapshot snapshot)
    {
        var status = snapshot.Status;
        var left = _estimate.Next(status.Ram);
        var now = (status.Phase, status.Trouble?.Reason, status.Trouble?.Attempts ?? 0);
        // While it is paused, each try is a line: it may take days.
        if (now == _last && (status.Phase == MigrationPhase.Paused || time.GetElapsedTime(_lastLine) < Period))
            return;
        _last = now;
        _lastLine = time.GetTimestamp();
        terminal.Say(Line(status, left, time));
    }

    public void Say(string message) => terminal.Warn(message);

    internal static string Line(MigrationStatus status, TimeSpan? left, TimeProvider clock)
    {
        var parts = new List<string>();
        if (status.QueuePosition > 0)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"position {status.QueuePosition} in the queue"));
        if (status.Ram.Total > 0)
        {
            var done = status.Ram.Total - status.Ram.Remaining;
            parts.Add($"{ByteSize.Format(done)} of {ByteSize.Format(status.Ram.Total)} ({Percent(done, status.Ram.Total)})");
        }
        if (status.BytesPerSecond > 0 && status.Phase != MigrationPhase.Paused)
            parts.Add(ByteSize.FormatRate(status.BytesPerSecond));
        if (left is { } time && status.Phase == MigrationPhase.Active)
            parts.Add(DurationText.Format(time) + " left");
        if (ConvergenceText.Of(status) is { } live)
            parts.Add(live);
        if (TroubleText.Short(status, clock) is { } trouble)
            parts.Add(trouble);
        // At the end the command itself tells the message.
        if (status.Message.Length > 0 && !Standstill.IsOver(status))
            parts.Add(status.Message);
        return $"{status.Spec.Id} {status.Phase.ToName()}" + (parts.Count == 0 ? "" : ": " + string.Join(", ", parts));
    }

    internal static string Percent(long part, long whole) =>
        (whole == 0 ? 0 : Math.Floor(100.0 * part / whole)).ToString("0", CultureInfo.InvariantCulture) + " %";
}

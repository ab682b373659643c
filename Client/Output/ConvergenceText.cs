using System.Globalization;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Output;

/// <summary>How a live save goes on, in one line.</summary>
internal static class ConvergenceText
{
    /// <summary>The line; null for a migration whose guest does not run meanwhile, or that has ended.</summary>
    public static string? Of(MigrationStatus status)
    {
        if (status.Live is not { } live || status.Phase.IsEnd() || status.Phase == MigrationPhase.Paused)
            return null;
        var allowed = live.AllowedDowntime is { } limit ? $" of {DurationText.Format(limit)}" : "";
        return string.Create(CultureInfo.InvariantCulture,
            $"iteration {live.Iteration}, dirty {ByteSize.FormatRate(live.DirtyBytesPerSecond)}, write {ByteSize.FormatRate(live.WriteBytesPerSecond)}, ")
            + $"downtime now {DurationText.Format(live.ExpectedDowntime)}{allowed}"
            + (live.ThrottlePercent > 0 ? $", CPUs throttled by {live.ThrottlePercent} %" : "");
    }
}

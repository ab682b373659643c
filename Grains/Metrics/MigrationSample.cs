using DistMigrate.Contracts;

namespace DistMigrate.Grains.Metrics;

/// <summary>A migration at one moment, as its coordinator tells the metrics.</summary>
/// <param name="Spec">What was asked.</param>
/// <param name="Phase">Where it stands.</param>
/// <param name="Reason">Why it failed or waits.</param>
/// <param name="Started">When it left the queue.</param>
/// <param name="Ended">When it ended.</param>
/// <param name="PhaseSince">Since when it is in this phase.</param>
/// <param name="Ram">Its counters.</param>
/// <param name="Live">How it goes on while the guest runs; null when it is not live.</param>
/// <param name="Budget">How long its guest may stand still; null for as long as it takes.</param>
internal sealed record MigrationSample(
    MigrationSpec Spec, MigrationPhase Phase, FailureReason Reason, DateTimeOffset? Started, DateTimeOffset? Ended, DateTimeOffset PhaseSince,
    RamCounters Ram, ConvergenceStatus? Live, TimeSpan? Budget)
{
    /// <summary>Save, restore or move.</summary>
    public string Kind => MetricNames.Of(Spec.Request.Kind);

    /// <summary>How guest memory is written or loaded.</summary>
    public string Mode => MetricNames.ModeOf(Spec.Request);

    /// <summary>The share of the guest's pages that is durable; a restore has none before its end.</summary>
    public double Progress => Phase == MigrationPhase.Completed ? 1 : Ram.Total == 0 ? 0 : Math.Min(1, (double)Ram.Durable / Ram.Total);
}

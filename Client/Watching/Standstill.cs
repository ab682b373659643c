using DistMigrate.Contracts;

namespace DistMigrate.Client.Watching;

/// <summary>Tells when it makes no sense to wait for a migration any longer.</summary>
/// <param name="patience">How long a state that waits for a person must last to count: what was asked to go on may not have begun to.</param>
/// <param name="time">The clock.</param>
internal sealed class Standstill(TimeSpan patience, TimeProvider time)
{
    private (DateTimeOffset PhaseSince, long FirstSeen)? _waiting;

    /// <summary>Whether a migration in this state has ended, or nothing of it goes on without a person. One that is paused for its
    /// storage goes on by itself.</summary>
    public static bool IsOver(MigrationStatus status) =>
        status.Phase.IsEnd() || status.Phase == MigrationPhase.NeedsAttention || status is { Phase: MigrationPhase.Paused, Trouble: not { NextTry: not null } };

    /// <summary>Takes the next status, and tells whether it is the last to wait for.</summary>
    public bool IsReached(MigrationStatus status)
    {
        if (status.Phase.IsEnd())
            return true;
        if (!IsOver(status))
            _waiting = null;
        else if (_waiting?.PhaseSince != status.PhaseSince)
            _waiting = (status.PhaseSince, time.GetTimestamp());
        return _waiting is { } waiting && time.GetElapsedTime(waiting.FirstSeen) >= patience;
    }
}

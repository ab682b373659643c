using System.Diagnostics;
using DistMigrate.Contracts;
using DistMigrate.Grains.Metrics;

namespace DistMigrate.Grains.Tracing;

/// <summary>The trace of one migration as its coordinator tells it: a span for the whole, and one for each phase.</summary>
internal sealed class MigrationTrace
{
    private Activity? _migration;
    private Activity? _phase;
    private MigrationPhase _shown;
    private string _message = "";

    /// <summary>Begins it, or goes on with it where an earlier coordinator began.</summary>
    /// <param name="spec">The migration.</param>
    /// <param name="earlier">What an earlier coordinator's call of this returned; empty when there was none.</param>
    /// <returns>What a later coordinator needs to go on; empty when nobody listens.</returns>
    public string Begin(MigrationSpec spec, string earlier)
    {
        _migration = Traces.Start("migration", earlier);
        if (_migration is null)
            return earlier;
        _migration.SetTag("distmigrate.migration", spec.Id);
        _migration.SetTag("distmigrate.guest", spec.Request.Guest);
        _migration.SetTag("distmigrate.kind", MetricNames.Of(spec.Request.Kind));
        _migration.SetTag("distmigrate.mode", MetricNames.ModeOf(spec.Request));
        _migration.SetTag("distmigrate.source_host", spec.Host);
        if (spec.Request.Move is { } move)
            _migration.SetTag("distmigrate.target_host", move.Target);
        if (earlier.Length > 0)
            _migration.SetTag("distmigrate.taken_over", true);
        return earlier.Length > 0 ? earlier : _migration.Id!;
    }

    /// <summary>Calls of this turn belong to it.</summary>
    public void Send() => Traces.Send(_phase ?? _migration);

    /// <summary>The migration is as the sample has it.</summary>
    /// <param name="sample">The migration.</param>
    /// <param name="message">One sentence on what happens.</param>
    public void Show(MigrationSample sample, string message)
    {
        if (_migration is null)
            return;
        if (_phase is null || _shown != sample.Phase)
        {
            _phase?.Stop();
            _phase = sample.Phase.IsEnd() ? null : Traces.Start($"phase {sample.Phase.ToName()}", _migration.Id);
            _shown = sample.Phase;
            _message = "";
        }

        if (_message != message)
        {
            _message = message;
            (_phase ?? _migration).AddEvent(new ActivityEvent(message, tags: new ActivityTagsCollection { ["reason"] = MetricNames.Of(sample.Reason) }));
        }

        if (sample.Phase.IsEnd())
            End(sample, message);
    }

    /// <summary>This coordinator is no longer in charge.</summary>
    public void Leave()
    {
        _phase?.Stop();
        _migration?.Stop();
        (_phase, _migration) = (null, null);
    }

    private void End(MigrationSample sample, string message)
    {
        _migration?.SetTag("distmigrate.result", sample.Phase.ToName());
        _migration?.SetTag("distmigrate.reason", MetricNames.Of(sample.Reason));
        if (sample.Phase == MigrationPhase.Failed)
            _migration?.SetStatus(ActivityStatusCode.Error, message);
        Leave();
    }
}

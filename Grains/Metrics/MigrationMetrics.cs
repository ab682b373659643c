using System.Diagnostics.Metrics;
using DistMigrate.Contracts;

namespace DistMigrate.Grains.Metrics;

/// <summary>
/// The metrics of the migrations that this silo coordinates. Their coordinators tell of every change; whoever looks waits for none of them.
/// A migration that has ended stays for a while, so that a look every minute sees its end.
/// </summary>
internal sealed class MigrationMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "DistMigrate.Migrations";

    /// <summary>How long a migration is shown after its end.</summary>
    public static readonly TimeSpan Retention = TimeSpan.FromMinutes(15);

    /// <summary>Ended migrations that are shown at most; the oldest go first.</summary>
    public const int MostEnded = 500;

    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, ShownMigration> _shown = [];

    // Those of them that have ended, the oldest first.
    private readonly Queue<(string Id, long At)> _over = [];
    private readonly Meter _totals = new(MeterName);
    private readonly RenewingMeter _guests;
    private readonly RenewingMeter _infos;
    private readonly Counter<long> _ended;
    private readonly Counter<long> _resumes;
    private readonly Histogram<double> _downtime;
    private readonly Histogram<double> _downtimeParts;
    private readonly Histogram<double> _duration;
    private readonly Histogram<double> _phases;

    public MigrationMetrics(TimeProvider time)
    {
        _time = time;
        _ended = MetricCatalog.Ended.Count(_totals);
        _resumes = MetricCatalog.Resumes.Count(_totals);
        _downtime = MetricCatalog.Downtime.Record(_totals);
        _downtimeParts = MetricCatalog.DowntimePart.Record(_totals);
        _duration = MetricCatalog.Duration.Record(_totals);
        _phases = MetricCatalog.PhaseDuration.Record(_totals);
        MetricCatalog.InPhase.Observe(_totals, ObservePhases);
        _infos = new RenewingMeter(MeterName, MetricCatalog.MostGuests, meter => MetricCatalog.Info.Observe(meter, ObserveInfos), time);
        _guests = new RenewingMeter(MeterName, MetricCatalog.MostGuests, CreateGauges, time);
    }

    /// <summary>Phases in which a migration has not ended.</summary>
    private static readonly MigrationPhase[] OpenPhases = [.. Enum.GetValues<MigrationPhase>().Where(phase => !phase.IsEnd())];

    /// <summary>A series that first appears at 1 shows no increase to Prometheus, so each one begins at 0. Called once somebody listens.</summary>
    public void Begin()
    {
        foreach (var kind in MetricNames.Kinds)
        {
            _ended.Add(0, EndTags(kind, MigrationPhase.Completed, FailureReason.None));
            _ended.Add(0, EndTags(kind, MigrationPhase.Cancelled, FailureReason.Cancelled));
            foreach (var reason in Enum.GetValues<FailureReason>().Except([FailureReason.None, FailureReason.Cancelled]))
                _ended.Add(0, EndTags(kind, MigrationPhase.Failed, reason));
        }

        foreach (var trigger in Enum.GetValues<ResumeTrigger>())
        {
            _resumes.Add(0, ResumeTags(trigger, isResumed: true));
            _resumes.Add(0, ResumeTags(trigger, isResumed: false));
        }
    }

    /// <summary>A migration is as the sample has it.</summary>
    public void Show(MigrationSample sample)
    {
        if (!MetricNames.Kinds.Contains(sample.Spec.Request.Kind))
            return;
        MigrationSample? before;
        lock (_gate)
        {
            if (!_shown.TryGetValue(sample.Spec.Id, out var shown))
                _shown[sample.Spec.Id] = shown = new ShownMigration(_time);
            before = shown.Sample;
            shown.Take(sample);
            if (sample.Ended is not null && before?.Ended is null)
                _over.Enqueue((sample.Spec.Id, _time.GetTimestamp()));
            Forget();
        }

        if (before is not null && before.Phase != sample.Phase && !before.Phase.IsEnd())
            _phases.Record(Math.Max(0, (sample.PhaseSince - before.PhaseSince).TotalSeconds), new KeyValuePair<string, object?>("phase", before.Phase.ToName()));
    }

    /// <summary>A migration is coordinated by another silo from now on, unless it has ended.</summary>
    public void Leave(string migration)
    {
        lock (_gate)
        {
            if (_shown.TryGetValue(migration, out var shown) && shown.Sample!.Ended is null)
                _shown.Remove(migration);
        }
    }

    /// <summary>Counts a migration that has ended on this silo's watch.</summary>
    public void CountEnd(MigrationSample sample, TimeSpan downtime, IEnumerable<DowntimePart> parts)
    {
        if (!MetricNames.Kinds.Contains(sample.Spec.Request.Kind))
            return;
        _ended.Add(1, EndTags(sample.Spec.Request.Kind, sample.Phase, sample.Reason));
        if (sample.Started is { } started && sample.Ended is { } ended)
            _duration.Record((ended - started).TotalSeconds, new("kind", sample.Kind), new("result", sample.Phase.ToName()));
        if (sample.Phase != MigrationPhase.Completed || sample.Spec.Request.Kind == MigrationKind.Restore)
            return;
        _downtime.Record(downtime.TotalSeconds, new("kind", sample.Kind), new("mode", sample.Mode));
        foreach (var part in parts)
            _downtimeParts.Record(part.Time.TotalSeconds, new("kind", sample.Kind), new("part", part.Name));
    }

    /// <summary>Counts a save that was, or could not be, taken up again.</summary>
    public void CountResume(ResumeTrigger trigger, bool isResumed) => _resumes.Add(1, ResumeTags(trigger, isResumed));

    public void Dispose()
    {
        _guests.Dispose();
        _infos.Dispose();
        _totals.Dispose();
    }

    private static KeyValuePair<string, object?>[] EndTags(MigrationKind kind, MigrationPhase phase, FailureReason reason) =>
        [new("kind", MetricNames.Of(kind)), new("result", phase.ToName()), new("reason", MetricNames.Of(reason))];

    private static KeyValuePair<string, object?>[] ResumeTags(ResumeTrigger trigger, bool isResumed) =>
        [new("trigger", MetricNames.Of(trigger)), new("result", isResumed ? "resumed" : "failed")];

    private void CreateGauges(Meter meter)
    {
        Add(MetricCatalog.StartTime, (_, sample) => UnixTime(sample.Started));
        Add(MetricCatalog.EndTime, (_, sample) => UnixTime(sample.Ended));
        Add(MetricCatalog.Progress, (_, sample) => sample.Progress);
        Add(MetricCatalog.DataTotal, (_, sample) => sample.Ram.Total);
        Add(MetricCatalog.DataProcessed, (_, sample) => sample.Ram.NormalBytes);
        Add(MetricCatalog.DataRemaining, (_, sample) => sample.Ended is null ? sample.Ram.Total - sample.Ram.Durable : null);
        Add(MetricCatalog.DirtyRate, (_, sample) => sample.Ended is null ? sample.Live?.DirtyBytesPerSecond : null);
        Add(MetricCatalog.TransferRate, (shown, sample) => sample.Ended is null && sample.Started is not null ? shown.TransferRate() : null);
        Add(MetricCatalog.Iterations, (_, sample) => sample.Live?.Iteration ?? sample.Ram.DirtySyncCount);
        Add(MetricCatalog.ExpectedDowntime, (_, sample) => sample.Ended is null ? sample.Live?.ExpectedDowntime.TotalSeconds : null);
        Add(MetricCatalog.AllowedDowntime, (_, sample) => sample.Ended is null && sample.Live is not null ? sample.Budget?.TotalSeconds : null);

        void Add(MetricDefinition metric, Func<ShownMigration, MigrationSample, double?> value) => metric.Observe(meter, () => ObserveGuests(value));
    }

    /// <summary>The latest migration of each guest.</summary>
    private List<Measurement<double>> ObserveGuests(Func<ShownMigration, MigrationSample, double?> value)
    {
        var found = new List<Measurement<double>>();
        lock (_gate)
        {
            foreach (var shown in Latest())
            {
                _guests.Note(shown.Sample!.Spec.Request.Guest);
                if (value(shown, shown.Sample) is { } is_)
                    found.Add(new Measurement<double>(is_, new KeyValuePair<string, object?>("guest", shown.Sample.Spec.Request.Guest)));
            }
        }

        return found;
    }

    private Dictionary<string, ShownMigration>.ValueCollection Latest()
    {
        var latest = new Dictionary<string, ShownMigration>(_shown.Count);
        foreach (var shown in _shown.Values)
        {
            var guest = shown.Sample!.Spec.Request.Guest;
            if (!latest.TryGetValue(guest, out var other) || Rank(shown.Sample).CompareTo(Rank(other.Sample!)) > 0)
                latest[guest] = shown;
        }

        return latest.Values;

        static (bool Runs, DateTimeOffset Submitted) Rank(MigrationSample sample) => (sample.Ended is null, sample.Spec.Submitted);
    }

    private List<Measurement<long>> ObserveInfos()
    {
        lock (_gate)
        {
            Forget();
            return [.. _shown.Values.Select(shown => InfoOf(shown.Sample!))];
        }
    }

    private Measurement<long> InfoOf(MigrationSample sample)
    {
        var request = sample.Spec.Request;
        var phase = sample.Phase.ToName();
        var reason = MetricNames.Of(sample.Reason);
        _infos.Note(sample.Spec.Id, phase, reason);
        return new Measurement<long>(
            1, new("guest", request.Guest), new("migration_id", sample.Spec.Id), new("kind", sample.Kind), new("mode", sample.Mode),
            new("policy", request.Save is { IsLive: true } live ? MetricNames.Of(live.Policy) : "none"), new("source_host", sample.Spec.Host),
            new("target_host", request.Move?.Target ?? (request.Kind == MigrationKind.Restore ? sample.Spec.Host : "none")), new("phase", phase),
            new("result", MetricNames.ResultOf(sample.Phase)), new("reason", reason));
    }

    private List<Measurement<long>> ObservePhases()
    {
        lock (_gate)
        {
            var counts = OpenPhases.ToDictionary(phase => phase, _ => 0L);
            foreach (var shown in _shown.Values.Where(shown => shown.Sample!.Ended is null))
                counts[shown.Sample!.Phase]++;
            return [.. counts.Select(count => new Measurement<long>(count.Value, new KeyValuePair<string, object?>("phase", count.Key.ToName())))];
        }
    }

    private void Forget()
    {
        while (_over.TryPeek(out var oldest) && (_over.Count > MostEnded || _time.GetElapsedTime(oldest.At) > Retention))
            _shown.Remove(_over.Dequeue().Id);
    }

    private static double? UnixTime(DateTimeOffset? at) => at?.ToUnixTimeMilliseconds() / 1000.0;
}

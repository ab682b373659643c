using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Text.Json;
using DistMigrate.Contracts;
using DistMigrate.Transfer;

namespace DistMigrate.Grains;

/// <summary>
/// The silo's metrics of its migrations. Gauges of blocks come from the engines that exist at the moment of the scrape, so that a
/// block that is gone leaves no series behind; counters keep what ended saves have counted.
/// </summary>
internal sealed class MigrationMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "DistMigrate.Migrations";

    private readonly HostedMigrations _migrations;
    private readonly Meter _meter;
    private readonly Counter<long> _ended;
    private readonly ConcurrentDictionary<(string Guest, string RamBlock), BlockTotals> _finished = new();

    public MigrationMetrics(HostedMigrations migrations, IMeterFactory meters)
    {
        _migrations = migrations;
        _meter = meters.Create(MeterName);
        _meter.CreateObservableGauge("distmigrate.ramblock.pages", ObservePages, "{page}",
            "Pages of a RAMBlock by state; the four states add up to the block.");
        _meter.CreateObservableGauge("distmigrate.ramblock.zero_pages", () => Observe(now => now.Zero), "{page}",
            "Pages of a RAMBlock that are zero and so absent from the image.");
        _meter.CreateObservableCounter("distmigrate.ramblock.written", () => ObserveTotals(total => total.Bytes), "By",
            "Bytes of a RAMBlock's pages given to pwrite.");
        _meter.CreateObservableCounter("distmigrate.ramblock.written_pages", ObserveWritten, "{page}",
            "Pages of a RAMBlock written for the first time, again because the guest changed them (redirtied), or again because an earlier write failed or was not known to be durable (resumed).");
        _meter.CreateObservableGauge("distmigrate.ramblock.failed_pages", () => Observe(now => now.Failed), "{page}",
            "Pages of a RAMBlock that wait to be written again because a write of them failed or its outcome is not known.");
        _meter.CreateObservableGauge("distmigrate.save.fsync_epochs", () => ObserveSaves(attempt => attempt.Epochs), "{epoch}",
            "Fsync epochs that closed well since the save was last taken up.");
        _meter.CreateObservableGauge("distmigrate.save.journal_size", () => ObserveSaves(attempt => attempt.JournalBytes), "By",
            "Bytes of the journal of a save under way.");
        _meter.CreateObservableGauge("distmigrate.save.storage_calls", () => ObserveSaves(attempt => attempt.CallsUnderWay), "{call}",
            "Calls of a save to its storage that have not returned, stuck ones included.");
        _meter.CreateObservableCounter("distmigrate.ramblock.errors", () => ObserveTotals(total => total.Errors), "{error}",
            "Reads and writes of a RAMBlock's pages that failed.");
        _ended = _meter.CreateCounter<long>("distmigrate.migrations", "{migration}", "Ended migrations; reason is of a closed list.");
        InitialiseEnded();
        migrations.Forgotten += Keep;
    }

    /// <summary>Counts a migration that has ended on this silo's watch.</summary>
    public void Ended(MigrationKind kind, MigrationPhase phase, FailureReason reason) => _ended.Add(1, Tags(kind, phase, reason));

    public void Dispose()
    {
        _migrations.Forgotten -= Keep;
        _meter.Dispose();
    }

    private static KeyValuePair<string, object?>[] Tags(MigrationKind kind, MigrationPhase phase, FailureReason reason) =>
    [
        new("mode", kind.ToString().ToLowerInvariant()), new("result", phase.ToName()), new("reason", JsonNamingPolicy.KebabCaseLower.ConvertName(reason.ToString())),
    ];

    /// <summary>A series that first appears at 1 shows no increase to Prometheus, so each one begins at 0.</summary>
    private void InitialiseEnded()
    {
        foreach (var kind in Enum.GetValues<MigrationKind>())
        {
            _ended.Add(0, Tags(kind, MigrationPhase.Completed, FailureReason.None));
            _ended.Add(0, Tags(kind, MigrationPhase.Cancelled, FailureReason.Cancelled));
            foreach (var reason in Enum.GetValues<FailureReason>().Except([FailureReason.None, FailureReason.Cancelled]))
                _ended.Add(0, Tags(kind, MigrationPhase.Failed, reason));
        }
    }

    private IEnumerable<(string Guest, string RamBlock, BlockCounters Now)> Blocks() =>
        from save in _migrations.Saves
        from name in save.Attempt.RamBlocks
        let block = save.Attempt.FindBlock(name)
        where block is not null
        select (save.Spec.Request.Guest, name, block.Snapshot());

    private IEnumerable<Measurement<long>> ObservePages()
    {
        foreach (var (guest, ramBlock, now) in Blocks())
        {
            yield return Pages(now.Dirty, "dirty");
            yield return Pages(now.InFlight, "in_flight");
            yield return Pages(now.Written, "written");
            yield return Pages(now.Durable, "durable");

            Measurement<long> Pages(long count, string state) =>
                new(count, new("guest", guest), new("ramblock", ramBlock), new("state", state));
        }
    }

    private IEnumerable<Measurement<long>> Observe(Func<BlockCounters, long> value) =>
        Blocks().Select(block => Of(block.Guest, block.RamBlock, value(block.Now)));

    private IEnumerable<Measurement<long>> ObserveSaves(Func<SaveAttempt, long> value) =>
        _migrations.Saves.Select(save => new Measurement<long>(value(save.Attempt), new KeyValuePair<string, object?>("guest", save.Spec.Request.Guest)));

    private IEnumerable<Measurement<long>> ObserveWritten()
    {
        foreach (var ((guest, ramBlock), total) in Totals())
        {
            yield return Pages(total.First, "first");
            yield return Pages(total.Redirtied, "redirtied");
            yield return Pages(total.Resumed, "resumed");

            Measurement<long> Pages(long count, string kind) => new(count, new("guest", guest), new("ramblock", ramBlock), new("kind", kind));
        }
    }

    private IEnumerable<Measurement<long>> ObserveTotals(Func<BlockTotals, long> value) =>
        Totals().Select(total => Of(total.Key.Guest, total.Key.RamBlock, value(total.Value)));

    private Dictionary<(string Guest, string RamBlock), BlockTotals> Totals()
    {
        var totals = _finished.ToDictionary();
        foreach (var (guest, ramBlock, now) in Blocks())
            totals[(guest, ramBlock)] = totals.GetValueOrDefault((guest, ramBlock)).Plus(now);
        return totals;
    }

    private static Measurement<long> Of(string guest, string ramBlock, long value) => new(value, new("guest", guest), new("ramblock", ramBlock));

    private void Keep(HostedSave save)
    {
        foreach (var name in save.Attempt.RamBlocks)
        {
            if (save.Attempt.FindBlock(name)?.Snapshot() is not { } now)
                continue;
            _finished.AddOrUpdate((save.Spec.Request.Guest, name), default(BlockTotals).Plus(now), (_, total) => total.Plus(now));
        }
    }

    /// <summary>What was counted of a RAMBlock over all saves.</summary>
    private readonly record struct BlockTotals(long Bytes, long Errors, long First, long Redirtied, long Resumed)
    {
        public BlockTotals Plus(BlockCounters now) => new(
            Bytes + now.WrittenBytes, Errors + now.Errors, First + now.First, Redirtied + now.Redirtied, Resumed + now.Resumed);
    }
}

using System.Diagnostics.Metrics;
using DistMigrate.Transfer;

namespace DistMigrate.Grains.Metrics;

/// <summary>
/// The metrics of the RAMBlocks that are saved from this host. They come from the engines at the moment somebody looks, so that copying
/// pays nothing for them, and go with the save. What a save has written stays for a while, so that a look every minute sees all of it.
/// </summary>
internal sealed class BlockMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "DistMigrate.RamBlocks";

    /// <summary>Guests of which it is told at most what their ended saves have written; the oldest go first.</summary>
    private const int MostEnded = 100;

    private static readonly TimeSpan SameLook = TimeSpan.FromMilliseconds(100);

    /// <summary>For how long no call may return before they are told as stuck.</summary>
    private static readonly TimeSpan StuckAfter = TimeSpan.FromSeconds(2);

    private readonly HostedMigrations _migrations;
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();

    // By guest: its RAMBlocks as the last one left them, with what all of them have written.
    private readonly Dictionary<string, EndedSave> _ended = [];
    private readonly RenewingMeter _meter;

    // One look asks each instrument in turn, and all of them for the same blocks.
    private List<ShownBlock> _shown = [];
    private long _shownAt;

    public BlockMetrics(HostedMigrations migrations, TimeProvider time)
    {
        _migrations = migrations;
        _time = time;
        _meter = new RenewingMeter(MeterName, MetricCatalog.MostRamBlocks, Create, time);
        migrations.Forgotten += Keep;
    }

    public void Dispose()
    {
        _migrations.Forgotten -= Keep;
        _meter.Dispose();
    }

    private void Create(Meter meter)
    {
        MetricCatalog.RamBlockPages.Observe(meter, () => Observe(Blocks(), "state", block =>
            [(block.Now.Dirty, "dirty"), (block.Now.InFlight, "in_flight"), (block.Now.Written, "written"), (block.Now.Durable, "durable")]));
        MetricCatalog.RamBlockZero.Observe(meter, () => ObserveBlocks(block => block.Now.Zero));
        MetricCatalog.RamBlockFailed.Observe(meter, () => ObserveBlocks(block => block.Now.Failed));
        MetricCatalog.WrittenBytes.Observe(meter, () => Observe(WithEnded(), "kind", block =>
            [(block.Total.First * 4096, "first"), (block.Total.Redirtied * 4096, "redirtied"), (block.Total.Resumed * 4096, "resumed")]));
        MetricCatalog.BlocksFailed.Observe(meter, ObserveFailed);
        MetricCatalog.Epochs.Observe(meter, () => ObserveSaves(attempt => attempt.Epochs));
        MetricCatalog.JournalBytes.Observe(meter, () => ObserveSaves(attempt => attempt.JournalBytes));
        MetricCatalog.CallsUnderWay.Observe(meter, () => ObserveSaves(attempt => attempt.CallsUnderWay));
        MetricCatalog.StuckWriters.Observe(meter, () => ObserveSaves(attempt => attempt.Silence > StuckAfter ? attempt.CallsUnderWay : 0));
    }

    private List<Measurement<long>> ObserveBlocks(Func<ShownBlock, long> value) =>
        [.. Blocks().Select(block => new Measurement<long>(value(block), new("guest", block.Guest), new("ramblock", block.Name)))];

    private static List<Measurement<long>> Observe(List<ShownBlock> blocks, string label, Func<ShownBlock, (long Value, string Label)[]> values) =>
    [
        .. blocks.SelectMany(block => values(block).Select(
            part => new Measurement<long>(part.Value, new("guest", block.Guest), new("ramblock", block.Name), new(label, part.Label)))),
    ];

    private List<Measurement<long>> ObserveFailed() =>
        [.. Blocks().GroupBy(block => block.Guest).Select(guest => OfGuest(guest.Count(block => block.Now.Failed > 0), guest.Key))];

    private List<Measurement<long>> ObserveSaves(Func<SaveAttempt, long> value) =>
        [.. _migrations.Saves.Select(save => OfGuest(value(save.Attempt), save.Spec.Request.Guest))];

    private static Measurement<long> OfGuest(long value, string guest) => new(value, new KeyValuePair<string, object?>("guest", guest));

    private List<ShownBlock> Blocks()
    {
        lock (_gate)
        {
            if (_shownAt != 0 && _time.GetElapsedTime(_shownAt) < SameLook)
                return _shown;
            var shown = new List<ShownBlock>();
            foreach (var save in _migrations.Saves)
                shown.AddRange(BlocksOf(save));
            foreach (var block in shown)
                _meter.Note(block.Guest, block.Name);
            (_shown, _shownAt) = (shown, _time.GetTimestamp());
            return shown;
        }
    }

    private List<ShownBlock> WithEnded()
    {
        var shown = Blocks();
        lock (_gate)
        {
            var running = shown.Select(block => block.Guest).ToHashSet();
            return [.. shown, .. _ended.Where(guest => !running.Contains(guest.Key) && !IsOld(guest.Value)).SelectMany(guest => guest.Value.Blocks)];
        }
    }

    /// <summary>The RAMBlocks of a save, with what earlier ones of the guest have written.</summary>
    private IEnumerable<ShownBlock> BlocksOf(HostedSave save)
    {
        var before = _ended.GetValueOrDefault(save.Spec.Request.Guest)?.Blocks;
        foreach (var name in save.Attempt.RamBlocks)
        {
            if (save.Attempt.FindBlock(name)?.Snapshot() is { } now)
            {
                var written = new WrittenTotals(now.First, now.Redirtied, now.Resumed);
                yield return new ShownBlock(save.Spec.Request.Guest, name, now, written.Plus(before?.Find(block => block.Name == name)?.Total));
            }
        }
    }

    private void Keep(HostedSave save)
    {
        lock (_gate)
        {
            var guest = save.Spec.Request.Guest;
            var blocks = BlocksOf(save).ToList();
            if (blocks.Count > 0)
                _ended[guest] = new EndedSave(_time.GetTimestamp(), blocks);
            while (_ended.Count > MostEnded || _ended.Values.Any(IsOld))
                _ended.Remove(_ended.MinBy(other => other.Value.At).Key);
        }
    }

    private bool IsOld(EndedSave save) => _time.GetElapsedTime(save.At) > MigrationMetrics.Retention;

    private sealed record EndedSave(long At, List<ShownBlock> Blocks);

    private sealed record ShownBlock(string Guest, string Name, BlockCounters Now, WrittenTotals Total);

    /// <summary>Pages that were written of a RAMBlock over all saves that are shown.</summary>
    private sealed record WrittenTotals(long First, long Redirtied, long Resumed)
    {
        public WrittenTotals Plus(WrittenTotals? other) => other is null ? this : new(First + other.First, Redirtied + other.Redirtied, Resumed + other.Resumed);
    }
}

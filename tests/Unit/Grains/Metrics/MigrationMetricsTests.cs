using DistMigrate.Contracts;
using DistMigrate.Grains.Metrics;
using Microsoft.Extensions.Time.Testing;

namespace DistMigrate.Tests.Unit.Grains.Metrics;

public sealed class MigrationMetricsTests : IDisposable
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly MeterReading _reading = new();
    private readonly MigrationMetrics _metrics;

    public MigrationMetricsTests() => _metrics = new MigrationMetrics(_time);

    [Fact]
    public void Every_way_in_which_a_migration_can_end_begins_at_zero()
    {
        _metrics.Begin();
        var ends = Of(MetricCatalog.Ended);
        Assert.All(ends, sample => Assert.Equal(0, sample.Value));
        Assert.Equal(3 * Enum.GetValues<FailureReason>().Length, ends.Count);
    }

    [Fact]
    public void A_stalled_storage_shows_as_a_transfer_rate_of_zero()
    {
        for (var second = 0; second <= 20; second++)
        {
            _metrics.Show(Running("m", "vm", second * 100L << 20));
            _time.Advance(TimeSpan.FromSeconds(0.8));
            _metrics.Show(Running("m", "vm", (second * 100L + 50) << 20));
            _time.Advance(TimeSpan.FromSeconds(0.2));
        }

        Assert.InRange(Single(MetricCatalog.TransferRate), 90 << 20, 106 << 20);
        _time.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal(0, Single(MetricCatalog.TransferRate));
        _metrics.Show(Running("m", "vm", 2050L << 20));
        Assert.Equal(0, Single(MetricCatalog.TransferRate));
    }

    [Fact]
    public void What_tells_of_a_moment_goes_with_the_end_and_the_rest_stays_for_a_quarter_of_an_hour()
    {
        _metrics.Show(Running("m", "vm", 1 << 20));
        Assert.Single(Of(MetricCatalog.DataRemaining));
        _metrics.Show(Ended("m", "vm"));
        var samples = _reading.Read();
        Assert.DoesNotContain(samples, sample => sample.Metric == MetricCatalog.DataRemaining || sample.Metric == MetricCatalog.TransferRate);
        Assert.Equal("completed", Assert.Single(samples, sample => sample.Metric == MetricCatalog.Info).Labels["result"]);
        Assert.Equal(1, Assert.Single(samples, sample => sample.Metric == MetricCatalog.Progress).Value);
        Assert.Equal(0, samples.Where(sample => sample.Metric == MetricCatalog.InPhase).Sum(sample => sample.Value));
        _time.Advance(MigrationMetrics.Retention + TimeSpan.FromSeconds(1));
        _ = _reading.Read();
        Assert.DoesNotContain(_reading.Read(), sample => sample.Labels.ContainsKey("guest"));
    }

    [Fact]
    public void A_guest_has_the_series_of_its_running_migration_whatever_ended_later()
    {
        _metrics.Show(Running("second", "vm", 5 << 20));
        _metrics.Show(Ended("first", "vm"));
        Assert.Equal(5 << 20, Single(MetricCatalog.DataProcessed));
        Assert.Equal(2, Of(MetricCatalog.Info).Count);
    }

    [Fact]
    public void A_migration_that_another_silo_coordinates_is_gone_and_one_that_ended_here_stays()
    {
        _metrics.Show(Running("a", "vm-a", 0));
        _metrics.Show(Ended("b", "vm-b"));
        _metrics.Leave("a");
        _metrics.Leave("b");
        Assert.Equal("vm-b", Assert.Single(Of(MetricCatalog.Info)).Labels["guest"]);
    }

    [Fact]
    public void A_phase_that_is_left_is_counted_with_its_time()
    {
        _metrics.Show(Running("m", "vm", 0));
        _time.Advance(TimeSpan.FromSeconds(7));
        _metrics.Show(Running("m", "vm", 0) with { Phase = MigrationPhase.Device, PhaseSince = _time.GetUtcNow() });
        var left = Assert.Single(Of(MetricCatalog.PhaseDuration));
        Assert.Equal(("active", 7.0), (left.Labels["phase"], left.Value));
    }

    [Fact]
    public void Ten_thousand_migrations_leave_five_hundred()
    {
        for (var i = 0; i < 10_000; i++)
        {
            _metrics.Show(Running($"m{i}", $"vm{i}", 0));
            _metrics.Show(Ended($"m{i}", $"vm{i}"));
        }

        var infos = Of(MetricCatalog.Info);
        Assert.Equal(MigrationMetrics.MostEnded, infos.Count);
        Assert.Contains(infos, info => info.Labels["guest"] == "vm9999");
    }

    public void Dispose()
    {
        _metrics.Dispose();
        _reading.Dispose();
    }

    private MigrationSample Running(string id, string guest, long bytes) => new(
        new MigrationSpec(id, "host-a", _time.GetUtcNow(), new MigrationRequest(MigrationKind.Save, guest, "/q", "/i", new SaveOptions(), null)),
        MigrationPhase.Active, FailureReason.None, _time.GetUtcNow(), null, new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero),
        RamCounters.Empty with { Total = 4L << 30, Normal = bytes / 4096 }, null, null);

    private MigrationSample Ended(string id, string guest) =>
        Running(id, guest, 4L << 30) with { Phase = MigrationPhase.Completed, Ended = _time.GetUtcNow() };

    private double Single(MetricDefinition metric) => Assert.Single(Of(metric)).Value;

    private List<MeterReading.Sample> Of(MetricDefinition metric) => [.. _reading.Read().Where(sample => sample.Metric == metric)];
}

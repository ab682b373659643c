using System.Text.Json;
using DistMigrate.Guests;

namespace DistMigrate.Tests.Unit.Guests;

/// <summary>QEMU's limit of how fast CPUs dirty memory is chosen where it can be, and never outlives its migration.</summary>
public sealed class DirtyLimitTests : IAsyncLifetime, IAsyncDisposable
{
    private readonly FakeQemu _qemu = new() { DirtyLimits = "[]", HasDirtyRing = true };
    private readonly string _before;

    public DirtyLimitTests()
    {
        _qemu.Capabilities["dirty-limit"] = false;
        _before = _qemu.Settings;
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public ValueTask DisposeAsync() => _qemu.DisposeAsync();

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    [Theory]
    [InlineData(true, "[]", true)]
    [InlineData(false, "[]", false)]
    [InlineData(true, null, false)]
    [InlineData(true, """[{"cpu-index": 0, "limit-rate": 64, "current-rate": 3}]""", false)]
    public async Task It_is_possible_with_a_dirty_ring_and_where_nobody_uses_it(bool hasDirtyRing, string? limits, bool expected)
    {
        _qemu.HasDirtyRing = hasDirtyRing;
        _qemu.DirtyLimits = limits;
        await using var guest = await _qemu.ConnectAsync();
        Assert.Equal(expected, await guest.CanLimitDirtyRateAsync(CancellationToken.None));
        Assert.Equal(_before, _qemu.Settings);
        Assert.Equal(limits, _qemu.DirtyLimits);
    }

    [Fact]
    public async Task It_is_lifted_when_its_stream_is_over()
    {
        await using var guest = await _qemu.ConnectAsync();
        _qemu.DirtyLimits = """[{"cpu-index": 0, "limit-rate": 1, "current-rate": 1}]""";
        await Assert.ThrowsAsync<GuestException>(() => guest.StreamAsync(null!, Limits(StreamThrottle.DirtyLimit), () => { }, CancellationToken.None));
        Assert.Equal("[]", _qemu.DirtyLimits);
        Assert.Equal(_before, _qemu.Settings);
    }

    [Fact]
    public async Task It_is_lifted_after_a_silo_that_died_in_its_stream()
    {
        MigrationSettingsSnapshot before;
        await using (var guest = await _qemu.ConnectAsync())
            before = await guest.ReadMigrationSettingsAsync(Limits(StreamThrottle.DirtyLimit), CancellationToken.None);
        _qemu.Capabilities["dirty-limit"] = true;
        _qemu.DirtyLimits = """[{"cpu-index": 0, "limit-rate": 1, "current-rate": 1}]""";
        await using var next = await _qemu.ConnectAsync();
        await next.RestoreMigrationSettingsAsync(before, CancellationToken.None);
        Assert.Equal("[]", _qemu.DirtyLimits);
        Assert.Equal(_before, _qemu.Settings);
    }

    [Fact]
    public async Task Another_one_s_limit_outlives_a_stream_that_takes_CPU_time_away()
    {
        const string others = """[{"cpu-index":0,"limit-rate":64}]""";
        _qemu.DirtyLimits = others;
        await using var guest = await _qemu.ConnectAsync();
        await Assert.ThrowsAsync<GuestException>(() => guest.StreamAsync(null!, Limits(StreamThrottle.AutoConverge), () => { }, CancellationToken.None));
        Assert.Equal(others, _qemu.DirtyLimits);
        Assert.Equal(_before, _qemu.Settings);
    }

    [Theory]
    [InlineData("{}", 0)]
    [InlineData("""{"dirty-limit-throttle-time-per-round": 0, "dirty-limit-ring-full-time": 0}""", 0)]
    [InlineData("""{"dirty-limit-throttle-time-per-round": 300, "dirty-limit-ring-full-time": 100}""", 75)]
    public void It_is_told_as_the_share_of_time_for_which_the_CPU_is_held_back(string reply, int percent) =>
        Assert.Equal(percent, DirtyLimit.PercentOf(JsonDocument.Parse(reply).RootElement));

    private static StreamLimits Limits(StreamThrottle throttle) => new(TimeSpan.FromSeconds(1), throttle);
}

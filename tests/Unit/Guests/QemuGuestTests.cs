using System.Text.Json;
using DistMigrate.Guests;
using Microsoft.Extensions.Time.Testing;

namespace DistMigrate.Tests.Unit.Guests;

public sealed class QemuGuestTests : IAsyncLifetime, IAsyncDisposable
{
    private readonly FakeQemu _qemu = new();
    private readonly string _before;

    public QemuGuestTests() => _before = _qemu.Settings;

    public Task InitializeAsync() => Task.CompletedTask;

    public ValueTask DisposeAsync() => _qemu.DisposeAsync();

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    [Fact]
    public async Task A_capture_that_fails_puts_back_what_it_changed_and_asks_for_the_settings_once()
    {
        await using var guest = await _qemu.ConnectAsync();
        var e = await Assert.ThrowsAsync<GuestException>(() => guest.CaptureDeviceStateAsync(DeviceStateMethod.IgnoreShared, releasesDisks: false, CancellationToken.None));
        Assert.Contains("getfd is refused", e.Message, StringComparison.Ordinal);
        Assert.Contains("migrate-set-capabilities", _qemu.Commands);
        Assert.Equal(_before, _qemu.Settings);
        Assert.Single(_qemu.Commands, "query-migrate-capabilities");
        Assert.Single(_qemu.Commands, "query-migrate-parameters");
        Assert.Single(_qemu.Commands, "query-status");
    }

    [Fact]
    public async Task A_QEMU_without_x_ignore_shared_saves_its_device_state_the_other_way_and_its_settings_stay()
    {
        Assert.True(_qemu.Capabilities.TryRemove("x-ignore-shared", out _));
        await using var guest = await _qemu.ConnectAsync();
        await Assert.ThrowsAsync<GuestException>(() => guest.CaptureDeviceStateAsync(DeviceStateMethod.IgnoreShared, releasesDisks: false, CancellationToken.None));
        Assert.Contains("add-fd", _qemu.Commands);
        Assert.DoesNotContain("migrate-set-capabilities", _qemu.Commands);
    }

    [Fact]
    public async Task What_a_capture_that_died_had_changed_is_put_back_from_JSON_by_another_connection()
    {
        var json = await DieInCaptureAsync();
        Assert.NotEqual(_before, _qemu.Settings);
        await RestoreAsync(json);
        Assert.Equal(_before, _qemu.Settings);

        // Again, as after a crash of the silo that restores.
        await RestoreAsync(json);
        Assert.Equal(_before, _qemu.Settings);
    }

    [Fact]
    public async Task What_a_capture_does_not_change_is_no_part_of_the_snapshot()
    {
        _qemu.Capabilities["auto-converge"] = false;
        await using var guest = await _qemu.ConnectAsync();
        var snapshot = await guest.ReadMigrationSettingsAsync(CancellationToken.None);
        Assert.Equal(["events", "x-ignore-shared"], snapshot.Capabilities.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(["max-bandwidth"], snapshot.Parameters.Keys);
    }

    [Fact]
    public async Task What_somebody_has_set_since_the_capture_died_stays()
    {
        var json = await DieInCaptureAsync();
        _qemu.Parameters["max-bandwidth"] = "1000";
        _qemu.Capabilities["xbzrle"] = true;
        await RestoreAsync(json);
        Assert.Equal(_before.Replace("max-bandwidth=134217728", "max-bandwidth=1000", StringComparison.Ordinal).Replace("xbzrle=False", "xbzrle=True", StringComparison.Ordinal), _qemu.Settings);
    }

    [Fact]
    public async Task Where_the_capture_had_not_begun_nothing_is_set()
    {
        string json;
        await using (var guest = await _qemu.ConnectAsync())
            json = JsonSerializer.Serialize(await guest.ReadMigrationSettingsAsync(CancellationToken.None));
        await RestoreAsync(json);
        Assert.DoesNotContain(_qemu.Commands, command => command.StartsWith("migrate-set", StringComparison.Ordinal));
        Assert.Equal(_before, _qemu.Settings);
    }

    [Fact]
    public async Task The_migration_of_a_capture_that_died_is_waited_for()
    {
        var json = await DieInCaptureAsync();
        _qemu.MigrationStatuses.Clear();
        foreach (var status in new[] { "active", "device", "failed" })
            _qemu.MigrationStatuses.Enqueue(status);
        await RestoreAsync(json);
        Assert.Equal(_before, _qemu.Settings);
        Assert.Equal(["query-migrate", "query-migrate", "query-migrate", "query-migrate-capabilities"], _qemu.Commands.SkipWhile(command => command != "query-migrate").Take(4));
    }

    [Fact]
    public async Task While_another_migration_goes_on_nothing_is_set_and_the_message_tells_what_to_set()
    {
        var json = await DieInCaptureAsync();
        var changed = _qemu.Settings;
        _qemu.MigrationStatuses.Clear();
        _qemu.MigrationStatuses.Enqueue("active");
        var time = new FakeTimeProvider();
        await using var guest = await _qemu.ConnectAsync(time);
        var restoring = guest.RestoreMigrationSettingsAsync(JsonSerializer.Deserialize<MigrationSettingsSnapshot>(json)!, CancellationToken.None);
        while (!restoring.IsCompleted)
        {
            time.Advance(TimeSpan.FromMilliseconds(100));
            await Task.Yield();
        }

        var e = await Assert.ThrowsAsync<GuestException>(() => restoring);
        Assert.Equal(GuestFault.Busy, e.Fault);
        Assert.Contains("max-bandwidth=134217728", e.Message, StringComparison.Ordinal);
        Assert.Contains("x-ignore-shared=off", e.Message, StringComparison.Ordinal);
        Assert.Equal(changed, _qemu.Settings);
    }

    [Fact]
    public async Task A_stop_gives_the_run_state_of_the_one_question_that_it_asks()
    {
        await using var guest = await _qemu.ConnectAsync();
        Assert.Equal(new GuestRunState(Running: false, "paused"), await guest.StopAsync(CancellationToken.None));
        Assert.Equal(["stop", "query-status"], _qemu.Commands.Skip(1));
    }

    /// <summary>Sets what a capture sets, and leaves without a word, as a process that is killed.</summary>
    /// <returns>What was kept before, as JSON.</returns>
    private async Task<string> DieInCaptureAsync()
    {
        await using var guest = await _qemu.ConnectAsync();
        var snapshot = await guest.ReadMigrationSettingsAsync(CancellationToken.None);
        Assert.NotNull(await MigrationSettings.ForDeviceState(guest.Qmp).TryApplyAsync(CancellationToken.None));
        return JsonSerializer.Serialize(snapshot);
    }

    private async Task RestoreAsync(string json)
    {
        await using var guest = await _qemu.ConnectAsync();
        await guest.RestoreMigrationSettingsAsync(JsonSerializer.Deserialize<MigrationSettingsSnapshot>(json)!, CancellationToken.None);
    }
}

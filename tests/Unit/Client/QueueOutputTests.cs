using System.Globalization;
using System.Text.Json;
using DistMigrate.Client.Commands;
using DistMigrate.Client.Output;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;
using Microsoft.Extensions.Time.Testing;

namespace DistMigrate.Tests.Unit.Client;

public sealed class QueueOutputTests : IDisposable
{
    private static readonly HostStatus Host = new(
        "hv1", "1.0",
        [
            Place("m-1", MigrationKind.Save, PlaceKind.Outgoing), Place("m-2", MigrationKind.Save, PlaceKind.Outgoing) with { IsParked = true },
            Place("m-3", MigrationKind.Restore, PlaceKind.Incoming), Place("m-4", MigrationKind.Save, PlaceKind.Outgoing, position: 1),
        ],
        MaxOutgoing: 2, MaxIncoming: 3, ["web"], ["/srv"], [], AvailableMemory: 3L << 30);

    private static readonly StorageStatus Storage = new(
        "/srv", 4, [Place("m-1", MigrationKind.Save, PlaceKind.Storage), Place("m-9", MigrationKind.Save, PlaceKind.Storage, position: 1) with { Host = "hv2" }]);

    private readonly FakeTimeProvider _time = new(TestMigration.Moment.AddMinutes(2));
    private readonly TestSurroundings _test = new();

    public void Dispose() => _test.Dispose();

    [Fact]
    public void The_table_says_who_runs_and_who_waits_by_host_and_direction_and_by_storage()
    {
        _test.Terminal().Show([Host], [Storage], _time);
        var lines = _test.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(7, lines.Length);
        Assert.Matches(@"^hv1 +outgoing +running +2 min 00 s +m-1 +save +web +hv1", lines[1]);
        Assert.Matches(@"^hv1 +outgoing +parked +2 min 00 s +m-2 ", lines[2]);
        Assert.Matches(@"^hv1 +outgoing +queued +1 +2 min 00 s +m-4 ", lines[3]);
        Assert.Matches(@"^hv1 +incoming +running +2 min 00 s +m-3 +restore ", lines[4]);
        Assert.Matches(@"^/srv +storage +running +2 min 00 s +m-1 ", lines[5]);
        Assert.Matches(@"^/srv +storage +queued +1 +2 min 00 s +m-9 +save +web +hv2", lines[6]);
    }

    [Fact]
    public void JSON_has_places_by_host_and_direction_and_by_storage()
    {
        _test.Terminal(OutputFormat.Json).Show([Host], [Storage], _time);
        var document = JsonDocument.Parse(_test.Out).RootElement;
        var host = document.GetProperty("hosts")[0];
        Assert.Equal("hv1", host.GetProperty("host").GetString());
        var outgoing = host.GetProperty("outgoing");
        Assert.Equal((2, 2), (outgoing.GetProperty("limit").GetInt32(), outgoing.GetProperty("running").GetArrayLength()));
        Assert.True(outgoing.GetProperty("running")[1].GetProperty("parked").GetBoolean());
        var waiting = outgoing.GetProperty("queued")[0];
        Assert.Equal(("m-4", "save", "web", 1), (
            waiting.GetProperty("id").GetString(), waiting.GetProperty("kind").GetString(), waiting.GetProperty("guest").GetString(),
            waiting.GetProperty("position").GetInt32()));
        Assert.Equal(TestMigration.Moment, waiting.GetProperty("since").GetDateTimeOffset());
        Assert.Equal((3, 1), (host.GetProperty("incoming").GetProperty("limit").GetInt32(), host.GetProperty("incoming").GetProperty("running").GetArrayLength()));
        var storage = document.GetProperty("storages")[0];
        Assert.Equal(("/srv", 4, "m-9"), (
            storage.GetProperty("storage").GetString(), storage.GetProperty("places").GetProperty("limit").GetInt32(),
            storage.GetProperty("places").GetProperty("queued")[0].GetProperty("id").GetString()));
    }

    [Fact]
    public void Hosts_show_their_places_in_use_and_their_memory()
    {
        (HostPresence, HostStatus?)[] hosts =
        [
            (new HostPresence("hv1", "10.0.0.1:1", IsUp: true, TestMigration.Moment), Host), (new HostPresence("hv2", "10.0.0.2:1", IsUp: false, TestMigration.Moment), null),
        ];
        _test.Terminal().Show(hosts, _time);
        Assert.Matches(@"(?m)^HOST .* OUT +IN +QUEUED +MEMORY FREE", _test.Out);
        Assert.Matches(@"(?m)^hv1 +up .* web +1/2 +1/3 +1 +3 GiB", _test.Out);

        using var json = new TestSurroundings();
        json.Terminal(OutputFormat.Json).Show(hosts, _time);
        var documents = JsonDocument.Parse(json.Out).RootElement.GetProperty("hosts");
        Assert.Equal((1, 2), (documents[0].GetProperty("outgoing").GetProperty("in-use").GetInt32(), documents[0].GetProperty("outgoing").GetProperty("limit").GetInt32()));
        Assert.Equal(3L << 30, documents[0].GetProperty("available-memory").GetInt64());
        Assert.Equal(["m-1", "m-2", "m-3"], documents[0].GetProperty("running").EnumerateArray().Select(id => id.GetString()));
        Assert.False(documents[1].TryGetProperty("outgoing", out _));
    }

    [Fact]
    public void The_storages_are_those_that_the_hosts_migrations_use() => Assert.Equal(["/srv"], QueueCommand.StoragesOf([Host, Host]));

    [Fact]
    public void The_list_has_everything_unfinished_and_what_ended_late_enough()
    {
        MigrationSummary Ended(int hoursAgo, MigrationPhase phase) => new(
            TestMigration.Spec($"m-{hoursAgo}", TestMigration.Moment.AddDays(-9)), phase, FailureReason.None, TestMigration.Moment.AddHours(-hoursAgo));
        MigrationSummary[] all = [Ended(1, MigrationPhase.Completed), Ended(24, MigrationPhase.Failed), Ended(25, MigrationPhase.Cancelled), Ended(99, MigrationPhase.Paused)];
        Assert.Equal([all[0], all[1], all[3]], ListCommand.Shorten(all, TestMigration.Moment.AddDays(-1)));
        Assert.Equal(all, ListCommand.Shorten(all, DateTimeOffset.MinValue));
    }

    [Theory]
    [InlineData("2h", "2026-01-02T01:06:05Z")]
    [InlineData("1d", "2026-01-01T03:06:05Z")]
    [InlineData("2025-12-31", "2025-12-30T23:00:00Z")]
    [InlineData("2025-12-31T12:30", "2025-12-31T11:30:00Z")]
    [InlineData("2025-12-31 12:30:01", "2025-12-31T11:30:01Z")]
    [InlineData("2025-12-31T12:30Z", "2025-12-31T12:30:00Z")]
    [InlineData("2025-12-31T12:30:00+02:00", "2025-12-31T10:30:00Z")]
    public void A_moment_is_so_long_ago_or_a_date(string text, string moment)
    {
        _time.SetLocalTimeZone(TimeZoneInfo.CreateCustomTimeZone("test", TimeSpan.FromHours(1), "test", "test"));
        Assert.True(MomentText.TryParse(text, _time, out var read));
        Assert.Equal(DateTimeOffset.Parse(moment, CultureInfo.InvariantCulture), read);
    }

    [Theory]
    [InlineData("")]
    [InlineData("yesterday")]
    [InlineData("2026-13-01")]
    [InlineData("0001-01-01")]
    [InlineData("-2h")]
    public void What_is_no_moment_is_refused(string text) => Assert.False(MomentText.TryParse(text, _time, out _));

    private static QueueEntry Place(string id, MigrationKind kind, PlaceKind place, int position = 0) =>
        new(id, "web", kind, "hv1", "/srv", place, position, IsParked: false, TestMigration.Moment);
}

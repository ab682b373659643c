using System.Text.Json;
using DistMigrate.Client.Commands;
using DistMigrate.Client.Output;
using DistMigrate.Contracts;
using Microsoft.Extensions.Time.Testing;

namespace DistMigrate.Tests.Unit.Client;

public sealed class LeftoverOutputTests : IDisposable
{
    private static readonly Leftover Unowned = new(
        "/images/web.img.partial", 3 << 20, TestMigration.Moment.AddDays(-7.5), "m-1", "web", IsOwned: false, IsRemoved: false, "");

    private static readonly Leftover Owned = Unowned with
    {
        Path = "/images/web.img.journal",
        Changed = TestMigration.Moment.AddMinutes(-2),
        IsOwned = true,
        Remark = "Migration m-1 needs it.",
    };

    private static readonly Leftover Folder = new("/images", 0, DateTimeOffset.UnixEpoch, "", "", IsOwned: true, IsRemoved: false, "1 folder(s) could not be read.");

    private readonly FakeTimeProvider _time = new(TestMigration.Moment);
    private readonly TestSurroundings _test = new();

    public void Dispose() => _test.Dispose();

    [Fact]
    public void The_table_says_what_there_is_how_old_it_is_and_why_it_stays()
    {
        _test.Terminal().Show("host-a", removes: false, [Unowned, Owned, Folder], _time);
        Assert.Matches(@"(?m)^/images/web\.img\.partial +3 MiB +7 d 12 h +m-1 +web +unowned", _test.Out);
        Assert.Matches(@"(?m)^/images/web\.img\.journal +3 MiB +2 min 00 s +m-1 +web +kept +Migration m-1 needs it\.", _test.Out);
        Assert.Matches(@"(?m)^/images +0 B +kept +1 folder", _test.Out);
    }

    [Fact]
    public void What_was_removed_is_told()
    {
        _test.Terminal().Show("host-a", removes: true, [Unowned with { IsRemoved = true }], _time);
        Assert.Matches(@"(?m)^/images/web\.img\.partial .* removed", _test.Out);
    }

    [Fact]
    public void JSON_has_every_field_and_leaves_out_what_is_not_known()
    {
        _test.Terminal(OutputFormat.Json).Show("host-a", removes: false, [Unowned, Folder], _time);
        var document = JsonDocument.Parse(_test.Out).RootElement;
        Assert.Equal(("host-a", false), (document.GetProperty("host").GetString(), document.GetProperty("removes").GetBoolean()));
        var file = document.GetProperty("leftovers")[0];
        Assert.Equal(Unowned.Path, file.GetProperty("path").GetString());
        Assert.Equal(3 << 20, file.GetProperty("bytes").GetInt64());
        Assert.Equal(Unowned.Changed, file.GetProperty("changed").GetDateTimeOffset());
        Assert.Equal(("m-1", "web"), (file.GetProperty("migration").GetString(), file.GetProperty("guest").GetString()));
        Assert.False(file.GetProperty("owned").GetBoolean());
        Assert.False(file.GetProperty("removed").GetBoolean());
        Assert.False(file.TryGetProperty("remark", out _));
        Assert.False(document.GetProperty("leftovers")[1].TryGetProperty("migration", out _));
    }

    [Fact]
    public void Nothing_left_over_is_an_empty_list_in_JSON()
    {
        _test.Terminal(OutputFormat.Json).Show("host-a", removes: false, [], _time);
        Assert.Equal(0, JsonDocument.Parse(_test.Out).RootElement.GetProperty("leftovers").GetArrayLength());
    }

    [Fact]
    public void Only_what_is_old_enough_passes_the_filter_and_remarks_always_do()
    {
        Assert.Equal([Unowned, Folder], GcCommand.Filter([Unowned, Owned, Folder], TimeSpan.FromDays(7), _time));
        Assert.Equal([Unowned, Owned, Folder], GcCommand.Filter([Unowned, Owned, Folder], TimeSpan.Zero, _time));
    }

    [Fact]
    public void Journals_are_removed_last_since_they_tell_whose_the_rest_is() =>
        Assert.Equal([Unowned, Owned], GcCommand.Order([Owned, Unowned]));
}

using DistMigrate.Grains;
using DistMigrate.Tests.Unit.Transfer;

namespace DistMigrate.Tests.Unit.Grains;

public sealed class KnownGuestsTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Guests_of_the_folder_appear_and_vanish_beside_the_configured_ones()
    {
        var guests = Guests(_folder.Path);
        Assert.Equal(["vm5"], await guests.ListAsync());
        Assert.Null(await guests.FindAsync("vm1"));

        _folder.Write("vm9.qmp", "");
        _folder.Write("vm1.qmp", "");
        Assert.Equal(["vm1", "vm5", "vm9"], await guests.ListAsync());
        Assert.Equal(_folder["vm1.qmp"], await guests.FindAsync("vm1"));

        File.Delete(_folder["vm1.qmp"]);
        Assert.Equal(["vm5", "vm9"], await guests.ListAsync());
        Assert.Null(await guests.FindAsync("vm1"));
    }

    [Fact]
    public async Task Configuration_wins()
    {
        _folder.Write("vm5.qmp", "");
        Assert.Equal(["vm5"], await Guests(_folder.Path).ListAsync());
        Assert.Equal("/configured.sock", await Guests(_folder.Path).FindAsync("vm5"));
    }

    [Fact]
    public async Task What_is_not_named_as_a_guest_is_left_out()
    {
        foreach (var name in new[] { ".qmp", "-x.qmp", "a b.qmp", "vm1.sock", "vm1.qmp.old", new string('x', 65) + ".qmp" })
            _folder.Write(name, "");
        Assert.Equal(["vm5"], await Guests(_folder.Path).ListAsync());
        Assert.Null(await Guests(_folder.Path).FindAsync("../vm1"));
    }

    [Fact]
    public async Task A_folder_that_is_missing_or_none_is_no_error()
    {
        Assert.Equal(["vm5"], await Guests(_folder["no"]).ListAsync());
        Assert.Equal(["vm5"], await Guests(_folder.Write("file", "")).ListAsync());
        Assert.Equal(["vm5"], await Guests("").ListAsync());
    }

    public void Dispose() => _folder.Dispose();

    private static KnownGuests Guests(string folder) =>
        new(new Dictionary<string, string> { ["vm5"] = "/configured.sock" }, folder, TimeProvider.System);
}

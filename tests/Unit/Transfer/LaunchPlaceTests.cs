using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class LaunchPlaceTests
{
    private static readonly LaunchPlace Place = new(
        "/run/guests", "/dev/shm", Program: null, new Dictionary<string, IReadOnlyList<string>> { ["vm1"] = ["-m", "64M"], ["vm2"] = ["/opt/qemu", "-S"] });

    [Fact]
    public void A_guest_is_launched_from_its_definition_or_else_from_what_is_known_of_it()
    {
        IReadOnlyList<string> known = ["/bin/other", "-x"];
        Assert.Equal(["-m", "64M"], Place.ArgumentsFor("vm1", () => known).Skip(1));
        Assert.StartsWith("qemu-system-", Place.ArgumentsFor("vm1", () => known)[0], StringComparison.Ordinal);
        Assert.Equal(["/opt/qemu", "-S"], Place.ArgumentsFor("vm2", () => known));
        Assert.Equal(known, Place.ArgumentsFor("vm3", () => known));
        Assert.Equal(["/usr/bin/qemu", "-x"], (Place with { Program = "/usr/bin/qemu" }).ArgumentsFor("vm3", () => known));
    }

    [Fact]
    public void Two_migrations_of_a_guest_have_memory_files_of_their_own() =>
        Assert.NotEqual(Place.PlacementOf("vm1", "m1").MemoryPrefix, Place.PlacementOf("vm1", "m2").MemoryPrefix);
}

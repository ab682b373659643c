using DistMigrate.Guests;

namespace DistMigrate.Tests.Unit.Guests;

public sealed class MemoryRoomTests
{
    private static readonly LaunchPlacement Placement = new("/run/dm/vm1", "/run/dm/vm1.qmp", "/dev/shm", "dm");

    private static readonly string[] MemInfo =
        ["MemTotal:        8000000 kB", "MemAvailable:    4000000 kB", "HugePages_Total:      10", "HugePages_Free:        7", "HugePages_Rsvd:        2", "Hugepagesize:       2048 kB"];

    [Fact]
    public void The_kernel_s_figures_are_read() =>
        Assert.Equal((4000000L * 1024, 5L * 2048 * 1024), (MemoryRoom.Available(MemInfo), MemoryRoom.HugePagesFree(MemInfo)));

    [Theory]
    [InlineData("memory-backend-ram,id=m,size=1G")]
    [InlineData("memory-backend-file,id=m,size=1G,mem-path=/x/m")]
    public void A_guest_that_fits_is_let_through_and_one_that_does_not_is_told_both_figures(string backend)
    {
        var plan = LaunchPlan.Compose(["qemu", "-object", backend], Placement, _ => false);
        MemoryRoom.Ensure(plan, "/dev/shm", 4096);
        var error = Assert.Throws<GuestException>(() => MemoryRoom.Ensure(plan, "/dev/shm", 1L << 60));
        Assert.Contains($"needs {1L << 60} bytes", error.Message, StringComparison.Ordinal);
        Assert.Contains("has ", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Huge_pages_are_counted_for_a_guest_that_uses_them()
    {
        var plan = LaunchPlan.Compose(["qemu", "-object", "memory-backend-memfd,id=m,size=1G,hugetlb=on"], Placement);
        Assert.Contains("huge pages", Assert.Throws<GuestException>(() => MemoryRoom.Ensure(plan, "/dev/shm", 1L << 60)).Message, StringComparison.Ordinal);
    }
}

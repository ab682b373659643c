using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class GuestLockTests
{
    [Fact]
    public void A_guest_is_held_by_one_migration_until_that_one_lets_go()
    {
        using var folder = new TestFolder();
        var process = new ProcessIdentity("host-a", 7, 99);
        using (GuestLock.Take(folder["run"], process, "vm1"))
        {
            Assert.Equal(ImageFault.Busy, Assert.Throws<ImageException>(() => GuestLock.Take(folder["run"], process, "vm1")).Fault);

            // A QEMU that was started later under the same number is another guest.
            GuestLock.Take(folder["run"], process with { StartTime = 100 }, "vm1").Dispose();
        }

        GuestLock.Take(folder["run"], process, "vm1").Dispose();
    }
}

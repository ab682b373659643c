using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>Whether guests can run on the processor itself.</summary>
internal static class KvmCheck
{
    private const string Path = "/dev/kvm";
    private const string Why = "guests run by emulation, which is many times slower, and a guest that was started with KVM cannot be moved here";

    public static Finding Look()
    {
        try
        {
            using var kvm = Libc.Open(Path, OpenFlags.ReadWrite);
            return Finding.Ok($"{Path} can be used (version {Libc.KvmVersion(kvm)} of its interface).");
        }
        catch (ErrnoException e)
        {
            return Finding.Warning($"{Path} cannot be used: {ErrnoException.Describe(e.Errno)}.", Why, e.Errno switch
            {
                Errno.EACCES or Errno.EPERM => "put the user who runs QEMU into the group of that device (usermod -aG kvm USER)",
                Errno.ENOENT => "load the module kvm_intel or kvm_amd; in a virtual machine its host must allow nesting, into a container pass the device",
                _ => "switch virtualisation on in the firmware, and look into the kernel's log",
            });
        }
    }
}

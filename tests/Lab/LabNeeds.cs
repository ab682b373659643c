namespace DistMigrate.Tests.Lab;

/// <summary>What must be on the machine before a test can run.</summary>
[Flags]
public enum LabNeeds
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>qemu-system-x86_64, version 9 or newer.</summary>
    Qemu = 1,

    /// <summary>nasm, to assemble the boot sector.</summary>
    Nasm = 2,

    /// <summary>The static busybox and the kernel that <c>eng/require test</c> stores.</summary>
    LinuxFiles = 4,

    /// <summary>redis-server.</summary>
    Redis = 8,

    /// <summary>Network and mount namespaces: root, and iproute2.</summary>
    Namespaces = 16,

    /// <summary>prometheus and promtool.</summary>
    Prometheus = 32,

    /// <summary>A file system in a file, which can be filled up: root, loop devices and mkfs.ext4.</summary>
    LoopDisk = 64,

    /// <summary>The browser Chromium.</summary>
    Browser = 128,

    /// <summary>A KVM that runs QEMU's default CPU.</summary>
    Kvm = 256,

    /// <summary>Everything for <see cref="SelfCheckBoot"/>.</summary>
    SelfCheckGuest = Qemu | Nasm,

    /// <summary>Everything for <see cref="LinuxBoot"/>.</summary>
    LinuxGuest = Qemu | LinuxFiles,

    /// <summary>Everything for both guests.</summary>
    BothGuests = SelfCheckGuest | LinuxGuest,
}

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>Everything that is looked at on this host. The ids are in scripts of operators, so they never change.</summary>
internal static class HostChecks
{
    public static IReadOnlyList<HostCheck> All { get; } =
    [
        new("kernel", KernelCheck.Look),
        new("qemu", QemuCheck.LookAsync),
        new("qemu-capabilities", QemuCapabilitiesCheck.LookAsync),
        new("kvm", KvmCheck.Look),
        new("memory-rights", MemoryRightsCheck.Look),
        new("runtime-folder", RuntimeFolderCheck.Look),
        new("monitors", MonitorsCheck.Look),
        new("memory-folder", MemoryFolderCheck.Look),
        new("clock", ClockCheck.Look),
        new("silo", SiloCheck.LookAsync),
    ];
}

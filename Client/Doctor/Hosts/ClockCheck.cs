using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>Whether something keeps the clock right.</summary>
internal static class ClockCheck
{
    public static Finding Look() => Judge(Libc.IsClockSynchronized());

    internal static Finding Judge(bool isSynchronized) => isSynchronized
        ? Finding.Ok("The kernel's clock is kept near true time.")
        : Finding.Warning(
            "Nothing tells the kernel that its clock is right.",
            "silos judge by the clock whether others of the cluster are alive and certificates valid, and 'gc' how old files are",
            "let chrony, systemd-timesyncd or ntpd run; in a container or virtual machine the host may keep the clock right without telling");
}

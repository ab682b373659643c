namespace DistMigrate.Client.Doctor.Guests;

/// <summary>Everything that is looked at in a guest. The ids are in scripts of operators, so they never change. Only the first is worth trying when it fails.</summary>
internal static class GuestChecks
{
    public static IReadOnlyList<GuestCheck> All { get; } =
    [
        new("monitor", MonitorCheck.LookAsync),
        new("guest-qemu", GuestQemuCheck.LookAsync),
        new("guest-blockers", GuestBlockersCheck.LookAsync),
        new("guest-memory", GuestMemoryCheck.LookAsync),
    ];
}

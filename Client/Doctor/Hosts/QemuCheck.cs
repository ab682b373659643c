namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>Whether this host has a QEMU that knows mapped-ram images.</summary>
internal static class QemuCheck
{
    public static async Task<Finding> LookAsync(HostScene scene, CancellationToken cancellation)
    {
        try
        {
            return (await scene.QemuAsync(cancellation)).JudgeVersion();
        }
        catch (CommandException e)
        {
            return Finding.Failed(e.Message, "guests that are moved to this host are launched by it", e.Hint ?? "install QEMU 9.0 or newer");
        }
    }
}

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>Whether that QEMU was built with what saves and restores ask of it.</summary>
internal static class QemuCapabilitiesCheck
{
    public static async Task<Finding> LookAsync(HostScene scene, CancellationToken cancellation)
    {
        try
        {
            return (await scene.QemuAsync(cancellation)).JudgeCapabilities();
        }
        catch (CommandException)
        {
            return Finding.NotTried("There is no QEMU to ask.");
        }
    }
}

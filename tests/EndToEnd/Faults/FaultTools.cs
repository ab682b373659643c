using DistMigrate.Tests.Lab;
using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>What this machine lacks for the faults that the tests make.</summary>
internal static class FaultTools
{
    private static readonly Lazy<string?> MountFault = new(() => Environment.IsPrivilegedProcess ? TryMount() : "Mounting a file system takes root.");

    private static readonly Lazy<string?> LoopFault = new(() =>
        !File.Exists("/dev/loop-control") ? "There is no /dev/loop-control: load the kernel module loop."
        : !IsOnPath("mkfs.ext4") ? "mkfs.ext4 is not installed: install e2fsprogs."
        : null);

    /// <summary>What is missing and what to do about it; null when everything is there.</summary>
    public static string? Missing(FaultNeeds needs)
    {
        if (LabPrograms.Missing(LabNeeds.SelfCheckGuest) is { } missing)
            return missing;
        if (needs.HasFlag(FaultNeeds.Mount) && MountFault.Value is { } mount)
            return mount;
        if (needs.HasFlag(FaultNeeds.Loop) && LoopFault.Value is { } loop)
            return loop;
        if (needs.HasFlag(FaultNeeds.Xfs) && !IsOnPath("mkfs.xfs"))
            return "mkfs.xfs is not installed: run eng/require faults.";
        if (needs.HasFlag(FaultNeeds.Gluster) && GlusterStorage.Missing is { } gluster)
            return gluster;
        if (needs.HasFlag(FaultNeeds.Sshfs) && SshfsStorage.Missing is { } sshfs)
            return sshfs;
        return needs.HasFlag(FaultNeeds.Strace) && !IsOnPath("strace") ? "strace is not installed: install it." : null;
    }

    /// <exception cref="InvalidOperationException">Something is missing; with CI set a test comes this far and fails with the reason.</exception>
    public static void Require(FaultNeeds needs)
    {
        if (Missing(needs) is { } reason)
            throw new InvalidOperationException(reason);
    }

    private static bool IsOnPath(string program) =>
        $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin".Split(':').Any(folder => folder.Length > 0 && File.Exists(Path.Combine(folder, program)));

    /// <summary>Root of a container may not mount; only trying tells.</summary>
    private static string? TryMount()
    {
        var folder = Directory.CreateTempSubdirectory("dm-try-").FullName;
        try
        {
            SystemProgram.Run("mount", "-t", "tmpfs", "-o", "size=64k", "distmigrate-test", folder);
            SystemProgram.Run("umount", folder);
            return null;
        }
        catch (InvalidOperationException exception)
        {
            return $"This machine does not let root mount a file system: {exception.Message}";
        }
        finally
        {
            Directory.Delete(folder);
        }
    }
}

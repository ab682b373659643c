using System.Diagnostics;
using DistMigrate.Client.Commands;
using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether a lock that one holds keeps others out, on this host.</summary>
internal static class LockCheck
{
    /// <summary>What the second process says by its exit code: the lock is held, as it should be.</summary>
    public const int Held = ExitCode.Busy;

    private const string Why = "two silos, or an old one that wakes up and its replacement, could write the same image at once";
    private const string Fix = "use a file system with flock(2); of a mount without it, look for an option that turns it on";

    public static Finding Look(StorageScene scene)
    {
        var path = scene.Files.NewPath("lock");
        using var first = Libc.Open(path, OpenFlags.ReadWrite | OpenFlags.Create | OpenFlags.Exclusive);
        using var second = Libc.Open(path, OpenFlags.ReadWrite);
        if (!Libc.TryLock(first))
            return Finding.Failed("A lock that nobody holds is refused.", Why, Fix);
        if (Libc.TryLock(second))
            return Finding.Failed("A lock can be taken twice.", Why, Fix);
        if (TryFromAnotherProcess(scene.Program, path) is var outcome && outcome != Held)
            return Finding.Failed(
                outcome == ExitCode.Ok ? "Another process of this host takes a lock that is held." : $"A second process could not try the lock (exit code {outcome}).", Why, Fix);
        first.CloseChecked();
        return Libc.TryLock(second)
            ? Finding.Ok("A lock keeps out other descriptors and processes of this host, and is free again when its holder closes it.")
            : Finding.Failed("A lock outlives the descriptor that held it.", "after a crash no silo could go on with the save", Fix);
    }

    /// <summary>Tries the lock as the second process.</summary>
    /// <returns>The exit code that tells the outcome.</returns>
    public static int Try(string path)
    {
        using var file = Libc.Open(path, OpenFlags.ReadWrite);
        return Libc.TryLock(file) ? ExitCode.Ok : Held;
    }

    private static int TryFromAnotherProcess(string program, string path)
    {
        var start = new ProcessStartInfo(program, [DoctorProbeCommand.Name, path, DoctorProbeCommand.TryLock])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using var process = Process.Start(start) ?? throw new InvalidOperationException("no process was started");
        process.StandardInput.Close();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }
}

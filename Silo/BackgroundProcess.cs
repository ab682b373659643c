using DistMigrate.Posix;

namespace DistMigrate.Silo;

/// <summary>Takes the process off the terminal that started it.</summary>
internal static class BackgroundProcess
{
    /// <summary>Leaves the session, and sends standard output and error to <c>silo.log</c> in the state folder.</summary>
    public static void Detach(string stateFolder)
    {
        PrivateFolder.Create(stateFolder);
        Libc.LeaveSession();
        using var nothing = Libc.Open("/dev/null", OpenFlags.ReadOnly);
        Libc.Redirect(nothing, 0);
        using var log = Libc.Open(Path.Combine(stateFolder, "silo.log"), OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Append);
        Libc.Redirect(log, 1);
        Libc.Redirect(log, 2);
    }
}

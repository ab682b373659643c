using DistMigrate.Client.Values;
using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>Whether the monitors in the guest folder may be opened. They are not: each serves one client, which a silo may be.</summary>
internal static class MonitorsCheck
{
    public static Finding Look() => Look(HostFolders.Guests);

    internal static Finding Look(string folder)
    {
        if (!Directory.Exists(folder))
            return Finding.Ok($"There is no {folder} yet; the monitor of a guest is named by --qmp then, or by Guests:NAME.");
        string[] sockets;
        try
        {
            sockets = Directory.GetFiles(folder, "*.qmp");
        }
        catch (UnauthorizedAccessException)
        {
            return Refused($"{folder} may not be read.", folder);
        }

        var refused = sockets.Where(socket => Libc.Access(socket) is Errno.EACCES or Errno.EPERM).Select(Path.GetFileName).ToList();
        return refused.Count == 0
            ? Finding.Ok($"{Printable.Count(sockets.Length)} {(sockets.Length == 1 ? "monitor" : "monitors")} in {folder}, and this user may open {(sockets.Length == 1 ? "it" : "them")}.")
            : Refused($"This user may not open {string.Join(", ", refused)} in {folder}.", folder);
    }

    private static Finding Refused(string found, string folder) => Finding.Failed(
        found, "a guest is stopped, described and continued by its monitor", $"run the silo as root or as QEMU's user, or give the sockets in {folder} to its user");
}

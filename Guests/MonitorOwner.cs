namespace DistMigrate.Guests;

/// <summary>
/// Finds the process behind a QMP socket. SO_PEERCRED names the process that called listen(2), which is a manager's when that
/// opened the socket and handed it over; the process that accepted our connection holds a connected socket bound to the path.
/// </summary>
internal static class MonitorOwner
{
    private const string Connected = "03";

    /// <summary>The pid of the process that serves the monitor.</summary>
    /// <param name="socketPath">The socket's path, to which a client is connected.</param>
    /// <param name="peerPid">What SO_PEERCRED says.</param>
    /// <exception cref="GuestException">Unsupported: the process is in another pid namespace.</exception>
    public static int Find(string socketPath, int peerPid)
    {
        var links = AcceptedInodes(File.ReadLines("/proc/net/unix"), socketPath).Select(inode => $"socket:[{inode}]").ToHashSet(StringComparer.Ordinal);
        if (links.Count > 0 && !Holds(peerPid, links) && ProcessFiles.All().FirstOrDefault(pid => Holds(pid, links)) is > 0 and var owner)
            return owner;
        return peerPid > 0 ? peerPid : throw new GuestException(GuestFault.Unsupported,
            $"The process behind {socketPath} is in another pid namespace. Run this host's silo in the pid namespace of its guests (a container needs the host's).");
    }

    /// <summary>Inodes of connected sockets bound to a path, from /proc/net/unix: <c>Num RefCount Protocol Flags Type St Inode Path</c>.</summary>
    /// <remarks>A server may have bound a relative path, of which only the end can be compared.</remarks>
    internal static IReadOnlyList<ulong> AcceptedInodes(IEnumerable<string> table, string socketPath)
    {
        var inodes = new List<ulong>();
        foreach (var line in table)
        {
            var words = line.Split(' ', 8, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 8 && words[5] == Connected && ulong.TryParse(words[6], out var inode)
                && (words[7] == socketPath || (!words[7].StartsWith('/') && Path.GetFileName(words[7]) == Path.GetFileName(socketPath))))
                inodes.Add(inode);
        }

        return inodes;
    }

    private static bool Holds(int pid, HashSet<string> links)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries($"/proc/{pid}/fd").Any(path => File.ResolveLinkTarget(path, returnFinalTarget: false) is { } target && links.Contains(target.Name));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A process that ended meanwhile, or that this user may not look into, is not told apart from one that does not hold it.
            return false;
        }
    }
}

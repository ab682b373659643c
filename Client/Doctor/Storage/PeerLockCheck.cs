using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether a lock that another host holds is seen here: <c>--hold</c> there, <c>--peer</c> here.</summary>
internal static class PeerLockCheck
{
    private const int MostBytes = 4096;

    // Between hosts, the names and lengths of files may be old for some seconds.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(200);

    public static Finding Look(StorageScene scene)
    {
        if (scene.Peer is not { } peer)
            return scene.Mount is { } mount && MountAdvice.IsLocal(mount)
                ? Finding.NotTried("It is local, so no other host's locks matter.")
                : Finding.NotTried($"Whether locks reach other hosts takes two of them: run 'distmigrate doctor {scene.Folder} --hold' on one, and what it says on another.");
        var path = ProbeFiles.SharedLock(scene.Folder);
        if (Wait(scene, () => TryOpen(path)) is not { } file)
            return Finding.Failed(
                $"There is no lock of {peer} here.", "hosts that see different files at this path cannot move guests between them",
                $"let 'distmigrate doctor {scene.Folder} --hold' run on {peer}; if it does, mount the same storage at this path on both");
        using (file)
        {
            return Judge(peer, Wait(scene, () => TryRead(file)), LockHolder.OfThisHost(), isTaken: Libc.TryLock(file), scene.Folder);
        }
    }

    internal static Finding Judge(string peer, LockHolder? holder, LockHolder own, bool isTaken, string folder)
    {
        if (isTaken)
            return Finding.Failed(
                $"{holder?.Host ?? peer} does not keep this host out: its lock can be taken here.",
                "a silo of another host would not see that an image is being written, and two could write it at once",
                holder is null
                    ? $"let 'distmigrate doctor {folder} --hold' run on {peer} while this looks"
                    : "mount the storage on both hosts with locks that the server keeps (NFS: without nolock, local_lock=none), or let one host alone use it; a hold that was killed looks the same");
        if (holder is null)
            return Finding.Failed(
                "A lock is held, but not a word of its holder can be read.", "what one host writes, another one must read", "look at the caches of both mounts, and try again");
        if (holder.Boot == own.Boot)
            return Finding.Warning(
                "The lock is held by a process of this very host.", "that says nothing of other hosts", $"run --hold on another host, and --peer with its name here");
        return holder.Host == peer
            ? Finding.Ok($"The lock that {peer} holds keeps {own.Host} out, and what {peer} wrote can be read here.")
            : Finding.Warning($"The lock is held by {holder.Host}, not by {peer}.", "locks do reach this host, but not from the one that was asked about", $"run --hold on {peer}");
    }

    private static Descriptor? TryOpen(string path)
    {
        try
        {
            return Libc.Open(path, OpenFlags.ReadWrite);
        }
        catch (ErrnoException e) when (e.Errno == Errno.ENOENT)
        {
            return null;
        }
    }

    private static LockHolder? TryRead(Descriptor file)
    {
        var bytes = new byte[MostBytes];
        return LockHolder.TryParse(bytes.AsSpan(0, Libc.PRead(file, bytes, 0)));
    }

    private static T? Wait<T>(StorageScene scene, Func<T?> look) where T : class
    {
        var started = scene.Time.GetTimestamp();
        while (true)
        {
            if (look() is { } found)
                return found;
            if (scene.Time.GetElapsedTime(started) > Patience)
                return null;
            scene.Cancellation.WaitHandle.WaitOne(Poll);
            scene.Cancellation.ThrowIfCancellationRequested();
        }
    }
}

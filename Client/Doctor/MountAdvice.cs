namespace DistMigrate.Client.Doctor;

/// <summary>What a file system's type and options mean for images.</summary>
internal static class MountAdvice
{
    private const string LockLoss = "a silo of another host would not see that an image is being written, and two could write it at once";
    private const string OneHostOnly = "let only one host use this folder";

    private static readonly string[] InMemory = ["tmpfs", "ramfs", "hugetlbfs"];
    private static readonly string[] Shared = ["ceph", "fuse.ceph", "fuse.ceph-fuse", "fuse.glusterfs", "gfs2", "ocfs2", "gpfs", "beegfs", "lustre", "moosefs", "fuse.mfs"];
    private static readonly string[] Local = ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs"];

    /// <summary>Whether it lies in memory, where fsync has nothing to do.</summary>
    public static bool IsInMemory(MountEntry mount) => InMemory.Contains(mount.Type);

    /// <summary>Whether no other host can see it.</summary>
    public static bool IsLocal(MountEntry mount) => IsInMemory(mount) || Local.Contains(mount.Type);

    /// <summary>Whether it is NFS of any version.</summary>
    public static bool IsNfs(MountEntry mount) => mount.Type is "nfs" or "nfs4";

    /// <summary>Judges a mount by what the kernel says of it alone.</summary>
    public static Finding Judge(MountEntry mount)
    {
        var what = $"{mount.Type} {mount.Source} at {mount.MountPoint}";
        if (mount.Has("ro"))
            return Finding.Failed($"{what}, read-only.", "no image can be written there", $"mount it writable: mount -o remount,rw {mount.MountPoint}");
        if (mount.Has("nobarrier") || mount.Value("barrier") == "0")
            return Finding.Failed(
                $"{what}, without barriers.", "fsync returns before the disk has the data, so a power cut can take an image that was reported complete",
                "mount it without nobarrier and barrier=0");
        return mount.Type switch
        {
            "nfs" or "nfs4" => Nfs(mount, what),
            "cifs" or "smb3" => Cifs(mount, what),
            "fuse.sshfs" => Finding.Failed(
                $"{what}: shared, but its locks reach only this host.", LockLoss, $"use NFS, CephFS or GlusterFS for a cluster, or {OneHostOnly}"),
            "overlay" => Finding.Warning(
                $"{what}: a container's own layer.", "it goes with the container, and no other host sees it", "mount the storage into the container, and name that folder"),
            "9p" or "virtiofs" => Finding.Warning(
                $"{what}: shared with the machine that serves it.", "whether other hosts see the same files, and each other's locks, depends on that machine",
                "run this check on two hosts with --hold and --peer"),
            _ when InMemory.Contains(mount.Type) => Finding.Warning(
                $"{what}: the memory of this host.", "a restart of the host takes the images, and no other host sees them", "use it for trials only"),
            _ when mount.Has("localflock") || mount.Has("localflocks") => Finding.Failed(
                $"{what}, locks only on this host ({(mount.Has("localflock") ? "localflock" : "localflocks")}).", LockLoss, $"mount it without that option, or {OneHostOnly}"),
            _ when Shared.Contains(mount.Type) => Finding.Ok($"{what}: shared."),
            _ when Local.Contains(mount.Type) => Finding.Ok($"{what}: local, so other hosts do not see it, and no guest can be moved through it."),
            _ => Finding.Warning(
                $"{what}: a type that is not known here.", "whether hosts share it and its locks reach them cannot be told from its name",
                "run this check on two hosts with --hold and --peer"),
        };
    }

    private static Finding Nfs(MountEntry mount, string what)
    {
        var version = mount.Value("vers") is { } vers ? $", vers={vers}" : "";
        var localLock = mount.Value("local_lock");
        if (mount.Has("nolock") || localLock is "all" or "flock")
            return Finding.Failed(
                $"{what}{version}: shared, but its locks reach only this host ({(mount.Has("nolock") ? "nolock" : $"local_lock={localLock}")}).",
                LockLoss, "mount it without nolock and with local_lock=none; NFS 4 has locks of its own");
        if (mount.Has("soft") || mount.Has("softerr"))
            return Finding.Warning(
                $"{what}{version}: shared, {(mount.Has("soft") ? "soft" : "softerr")}.",
                "a server that is slow for a while fails writes that it may still carry out, so saves are paused which would only have had to wait",
                "mount it hard; a save waits, and status and cancel answer meanwhile");
        if (mount.Has("sync") || mount.Has("noac"))
            return Finding.Warning(
                $"{what}{version}: shared, hard, {(mount.Has("sync") ? "sync" : "noac")}.",
                "each write waits for the server by itself, and nothing is gained: what must be durable is fsynced anyway",
                "mount it without sync and noac");
        return Finding.Ok($"{what}{version}: shared, hard. That its export is 'sync' only its server can tell.");
    }

    private static Finding Cifs(MountEntry mount, string what)
    {
        if (mount.Has("nobrl"))
            return Finding.Failed($"{what}: shared, but its locks reach only this host (nobrl).", LockLoss, $"mount it without nobrl, or {OneHostOnly}");
        if (mount.Value("cache") == "loose")
            return Finding.Warning(
                $"{what}: shared, cache=loose.", "a host may read what another one has long replaced", "mount it with cache=strict or cache=none");
        return Finding.Warning(
            $"{what}: shared. DistMigrate is not tested on SMB.", "what the checks below cannot see is not known", "prefer NFS 4.2, CephFS or GlusterFS");
    }
}

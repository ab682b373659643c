using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>What to do about a system call that storage refused.</summary>
internal static class StorageRefusal
{
    public static Finding Explain(ErrnoException e) => Finding.Failed(
        $"{e.Call} fails: {ErrnoException.Describe(e.Errno)}.", "a save to this folder would fail in the same way", FixOf(e));

    private static string FixOf(ErrnoException e) => e.Errno switch
    {
        Errno.ENOSPC or Errno.EDQUOT => "free space there, or raise the quota",
        Errno.ENOENT => "mount the storage there, or create the folder",
        Errno.EROFS => "mount it writable; a file system that became read-only by itself had an error, which the kernel's log tells",
        Errno.EACCES or Errno.EPERM => "run this as the silo's user, and let that user write there; an NFS server may take root for nobody (no_root_squash)",
        Errno.ENOTCONN or Errno.ETIMEDOUT => "bring the storage's server, or the network to it, back",
        Errno.ESTALE => "mount it anew: its server has forgotten the folder",
        Errno.EIO => "look into the kernel's log: a disk or a server fails",
        Errno.ENOLCK => "let the lock services of both ends run (rpc.statd, lockd), or use NFS 4",
        Errno.EFBIG => "raise the limit of file sizes (ulimit -f), or use a file system that takes larger files",
        _ => "look into the kernel's log and the storage's own; images need a file system that has this operation",
    };
}

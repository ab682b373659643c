namespace DistMigrate.Posix;

/// <summary>The Linux error numbers that DistMigrate tells apart (errno(3), asm-generic values, the same on x86-64 and arm64).</summary>
public enum Errno
{
    /// <summary>No error.</summary>
    None = 0,

    /// <summary>Operation not permitted.</summary>
    EPERM = 1,

    /// <summary>No such file or folder.</summary>
    ENOENT = 2,

    /// <summary>No such process.</summary>
    ESRCH = 3,

    /// <summary>Interrupted by a signal; the call is repeated.</summary>
    EINTR = 4,

    /// <summary>The device or network storage failed.</summary>
    EIO = 5,

    /// <summary>No such device or address; lseek(2) says so when no data follows.</summary>
    ENXIO = 6,

    /// <summary>The descriptor is not open.</summary>
    EBADF = 9,

    /// <summary>Would block; flock(2) says so when another process holds the lock.</summary>
    EAGAIN = 11,

    /// <summary>Permission denied.</summary>
    EACCES = 13,

    /// <summary>The file exists.</summary>
    EEXIST = 17,

    /// <summary>Not a folder.</summary>
    ENOTDIR = 20,

    /// <summary>It is a folder.</summary>
    EISDIR = 21,

    /// <summary>The arguments do not fit, such as an O_DIRECT transfer that is not aligned.</summary>
    EINVAL = 22,

    /// <summary>The file would be larger than the file system or the user's limit takes.</summary>
    EFBIG = 27,

    /// <summary>No space is left on the file system.</summary>
    ENOSPC = 28,

    /// <summary>The file system is read-only.</summary>
    EROFS = 30,

    /// <summary>The name is too long.</summary>
    ENAMETOOLONG = 36,

    /// <summary>No locks are to be had: NFS says so when its lock service does not answer.</summary>
    ENOLCK = 37,

    /// <summary>The kernel lacks the system call.</summary>
    ENOSYS = 38,

    /// <summary>The file system lacks the operation.</summary>
    EOPNOTSUPP = 95,

    /// <summary>The network storage is not connected.</summary>
    ENOTCONN = 107,

    /// <summary>The network storage did not answer in time.</summary>
    ETIMEDOUT = 110,

    /// <summary>The file behind the descriptor is gone from the server.</summary>
    ESTALE = 116,

    /// <summary>The user's or project's quota is used up.</summary>
    EDQUOT = 122,
}

using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>What went wrong with an image or its storage; a closed list that the upper layers map to their own reasons.</summary>
public enum ImageFault
{
    /// <summary>The path is not below a storage root.</summary>
    OutsideRoots,

    /// <summary>The image, or its folder, does not exist.</summary>
    NotFound,

    /// <summary>A published image of that name exists.</summary>
    Exists,

    /// <summary>Another process writes the same partial image, or saves the same guest.</summary>
    Busy,

    /// <summary>A later coordinator of the same migration wrote the journal.</summary>
    Fenced,

    /// <summary>An earlier process of this host published the image of this very migration.</summary>
    Published,

    /// <summary>The open file is no longer what its name leads to.</summary>
    Replaced,

    /// <summary>The file is not a well-formed image.</summary>
    Malformed,

    /// <summary>Image and guest do not fit together.</summary>
    Mismatch,

    /// <summary>Another holds the claim.</summary>
    ClaimHeld,

    /// <summary>ENOSPC, EDQUOT or EFBIG.</summary>
    NoSpace,

    /// <summary>EROFS.</summary>
    ReadOnly,

    /// <summary>EACCES or EPERM.</summary>
    AccessDenied,

    /// <summary>O_DIRECT was asked for and the file system does not take it.</summary>
    NoDirectIo,

    /// <summary>ESTALE or EBADF: the descriptor leads nowhere any more; the file may still be there.</summary>
    Stale,

    /// <summary>Calls to the storage do not return.</summary>
    Stalled,

    /// <summary>Any other failure of the storage.</summary>
    Storage,
}

/// <summary>An image or its storage failed or was refused. The message says what, why and what to do.</summary>
public sealed class ImageException : Exception
{
    /// <summary>Makes one for a refusal of ours.</summary>
    public ImageException(ImageFault fault, string message, Exception? inner = null) : base(message, inner) => Fault = fault;

    /// <summary>What went wrong.</summary>
    public ImageFault Fault { get; }

    /// <summary>The error number, when a system call failed.</summary>
    public Errno Errno { get; private init; }

    /// <summary>Whether the attempt may go on from where it was once the storage is well again.</summary>
    public bool IsResumable => Fault is ImageFault.NoSpace or ImageFault.ReadOnly or ImageFault.AccessDenied
        or ImageFault.Stale or ImageFault.Stalled or ImageFault.Storage;

    /// <summary>Makes one for a failed system call, with what to do about it.</summary>
    /// <param name="call">The system call's name.</param>
    /// <param name="errno">Its error.</param>
    /// <param name="path">What it was called on.</param>
    public static ImageException FromErrno(string call, Errno errno, string path)
    {
        var (fault, advice) = errno switch
        {
            Errno.ENOSPC or Errno.EFBIG => (ImageFault.NoSpace, "Free space there, or choose another folder."),
            Errno.EDQUOT => (ImageFault.NoSpace, "Raise the quota or free space."),
            Errno.EROFS => (ImageFault.ReadOnly, "Remount it writable or choose another folder."),
            Errno.EACCES or Errno.EPERM => (ImageFault.AccessDenied, "Give the silo's user access, or choose another folder."),
            Errno.ENOENT or Errno.ENOTDIR => (ImageFault.NotFound, "Check the path."),
            Errno.ESTALE or Errno.EBADF => (ImageFault.Stale, "The file has to be opened again."),
            _ => (ImageFault.Storage, "Look at the storage and the host's kernel log, then try again."),
        };
        return new ImageException(fault, $"{call} of {path} failed: {ErrnoException.Describe(errno)}. {advice}") { Errno = errno };
    }

    /// <summary>The same for an exception that kept its errno.</summary>
    public static ImageException From(ErrnoException e)
    {
        ArgumentNullException.ThrowIfNull(e);
        return FromErrno(e.Call, e.Errno, e.Subject);
    }
}

using DistMigrate.Client.Values;
using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether something fits.</summary>
internal static class SpaceCheck
{
    private const long LeastBytes = 64L << 20;
    private const long FewBytes = 4L << 30;

    // An image and its side files, and what replaces them, are some ten.
    private const long FewFiles = 100;

    public static Finding Look(StorageScene scene) => Judge(Libc.Space(scene.Folder));

    internal static Finding Judge(FileSystemSpace space)
    {
        if (space.TotalBytes == 0)
            return Finding.Ok("The file system does not tell its space.");
        var files = space.Files > 0 ? $", and {Printable.Count(space.AvailableFiles)} more files" : "";
        var found = $"{ByteSize.Format(space.AvailableBytes)} of {ByteSize.Format(space.TotalBytes)} are free for this user{files}.";
        const string why = "an image takes as much as its guest has memory in use, and a save without space is paused";
        const string fix = "free space there; 'distmigrate gc' lists what saves left";
        if (space.Files > 0 && space.AvailableFiles < FewFiles)
            return Finding.Failed(found, "an image has several side files, and each needs an inode", "remove files there that nobody needs, or make a file system with more inodes");
        return space.AvailableBytes < LeastBytes ? Finding.Failed(found, why, fix)
            : space.AvailableBytes < FewBytes ? Finding.Warning(found, why, fix)
            : Finding.Ok(found);
    }
}

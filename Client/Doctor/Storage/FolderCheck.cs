using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether there is such a folder.</summary>
internal static class FolderCheck
{
    private const string Why = "a save creates its files in it, and does not make folders";

    public static Finding Look(StorageScene scene)
    {
        try
        {
            using var folder = Libc.Open(scene.Folder, OpenFlags.ReadOnly | OpenFlags.Folder);

            // The kernel's own word for where it is, with all links followed.
            scene.Resolved = File.ResolveLinkTarget($"/proc/self/fd/{folder.Number}", returnFinalTarget: false)?.FullName ?? scene.Folder;
            scene.Mount = MountTable.Find(MountTable.Read(), scene.Resolved);
        }
        catch (ErrnoException e) when (e.Errno == Errno.ENOENT)
        {
            return Finding.Failed("It does not exist.", Why, $"mount the storage there, or create the folder: mkdir -p {scene.Folder}");
        }
        catch (ErrnoException e) when (e.Errno == Errno.ENOTDIR)
        {
            return Finding.Failed("It is not a folder.", Why, "name the folder that images are to lie in");
        }

        ProbeFiles.RemoveStale(scene.Folder, scene.Time);
        return Finding.Ok(scene.Resolved == scene.Folder ? "It is there." : $"It is there, and leads to {scene.Resolved}.");
    }
}

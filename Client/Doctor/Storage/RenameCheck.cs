using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether a file can take a name that is free, and only then: how an image gets its name when it is published.</summary>
internal static class RenameCheck
{
    public static Finding Look(StorageScene scene)
    {
        var from = scene.Files.NewPath("rename-from");
        var to = scene.Files.NewPath("rename-to");
        var other = scene.Files.NewPath("rename-other");
        Make(from);
        Make(other);
        var way = "rename that replaces nothing (RENAME_NOREPLACE)";
        try
        {
            Libc.Rename(from, to, replace: false);
            if (!IsRefused(() => Libc.Rename(other, to, replace: false)))
                return Replaced("rename");
        }
        catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.ENOSYS)
        {
            way = "second names (link), since it has no rename that replaces nothing";
            try
            {
                Libc.Link(from, to);
                if (!IsRefused(() => Libc.Link(other, to)))
                    return Replaced("link");
            }
            catch (ErrnoException missing) when (missing.Errno is Errno.EPERM or Errno.EOPNOTSUPP or Errno.ENOSYS or Errno.EINVAL)
            {
                return Finding.Failed(
                    "It has neither second names (link) nor a rename that replaces nothing (RENAME_NOREPLACE).",
                    "an image could not get its name without the risk of replacing another one, so saves to a new name do not complete", "use another file system");
            }
        }

        Libc.Rename(other, to, replace: true);
        return File.Exists(other) || !File.Exists(to)
            ? Finding.Failed("A file that was renamed has its old name, or not its new one.", "a finished image could be lost", "do not use this storage; report it to its maker")
            : Finding.Ok($"Images get their names by {way}.");
    }

    private static bool IsRefused(Action call)
    {
        try
        {
            call();
            return false;
        }
        catch (ErrnoException e) when (e.Errno == Errno.EEXIST)
        {
            return true;
        }
    }

    private static Finding Replaced(string call) => Finding.Failed(
        $"{call} replaces a file that it was told to leave.", "a save could destroy an image that has the name already", "do not use this storage; report it to its maker");

    private static void Make(string path) => Libc.Open(path, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Exclusive).CloseChecked();
}

using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether only one can create a file of a name: how the right to run a guest is claimed.</summary>
internal static class ExclusiveCreateCheck
{
    public static Finding Look(StorageScene scene)
    {
        var path = scene.Files.NewPath("claim");
        Create(path);
        var temporary = scene.Files.NewPath("claim-temporary");
        Create(temporary);
        if (!IsTaken(() => Create(path)) || !IsTaken(() => Link(temporary, path)))
            return Finding.Failed(
                "A file of a name that is taken was created again.", "two hosts could both claim the right to run a guest, and it would run twice",
                "do not use this storage; report it to its maker");
        return Finding.Ok("Of a name, only one file can be created, so a guest can be claimed once only.");
    }

    private static void Create(string path) => Libc.Open(path, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Exclusive).CloseChecked();

    private static void Link(string existing, string name)
    {
        try
        {
            Libc.Link(existing, name);
        }
        catch (ErrnoException e) when (e.Errno is Errno.EPERM or Errno.EOPNOTSUPP or Errno.ENOSYS)
        {
            // Without second names, claims are made by the exclusive create alone.
            throw new ErrnoException("link", Errno.EEXIST, name);
        }
    }

    private static bool IsTaken(Action call)
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
}

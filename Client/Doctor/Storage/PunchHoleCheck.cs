using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether space that was written can be given back.</summary>
internal static class PunchHoleCheck
{
    private const int Bytes = 1 << 20;

    public static Finding Look(StorageScene scene)
    {
        using var file = scene.Files.Create("punch");
        var data = new byte[Bytes];
        Random.Shared.NextBytes(data);
        Libc.PWriteExactly(file, data, 0);
        Libc.FSync(file);
        switch (Libc.PunchHole(file, 0, Bytes))
        {
            case Errno.None:
                break;
            case Errno.EOPNOTSUPP or Errno.ENOSYS:
                return Finding.Warning(
                    "Holes cannot be punched.", "a page that becomes zero while a guest is saved live is written as zeros, and its space is not given back",
                    scene.FixOnNfs("nothing must be done; images may be somewhat larger"));
            case var errno:
                throw new ErrnoException("fallocate", errno, file.Path);
        }

        Libc.PReadExactly(file, data, 0);
        return data.AsSpan().ContainsAnyExcept((byte)0)
            ? Finding.Failed(
                "A punched hole reads as what was there before.", "a guest would be restored with old memory", "do not use this storage; report it to its maker")
            : Finding.Ok("Holes can be punched, and read as zero.");
    }
}

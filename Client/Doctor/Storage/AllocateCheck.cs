using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether space can be reserved.</summary>
internal static class AllocateCheck
{
    private const long Bytes = 8L << 20;

    public static Finding Look(StorageScene scene)
    {
        using var file = scene.Files.Create("allocate");
        return Libc.Allocate(file, 0, Bytes) switch
        {
            Errno.None => Finding.Ok("Space can be reserved before it is written (fallocate)."),

            // Saves do without it, and nothing is lost but a little speed.
            Errno.EOPNOTSUPP or Errno.ENOSYS => Finding.Ok("Space cannot be reserved before it is written (fallocate); saves do without."),
            var errno => throw new ErrnoException("fallocate", errno, file.Path),
        };
    }
}

using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>Whether a folder takes writes: a file of its own is created there, filled, made durable and removed.</summary>
internal static class StorageProbe
{
    /// <summary>Space to be there before a resumed save is worth while, at most.</summary>
    private const long EnoughBytes = 64L << 20;

    /// <summary>Tries it.</summary>
    /// <param name="path">The probe's path.</param>
    /// <param name="bytes">Bytes that are still to be written.</param>
    /// <exception cref="ImageException">The storage does not take them.</exception>
    public static void Run(string path, long bytes)
    {
        try
        {
            using var file = Libc.Open(path, OpenFlags.ReadWrite | OpenFlags.Create);
            try
            {
                var errno = Libc.Allocate(file, 0, Math.Clamp(bytes, Page.Size, EnoughBytes));
                if (errno is not (Errno.None or Errno.EOPNOTSUPP or Errno.ENOSYS))
                    throw ImageException.FromErrno("fallocate", errno, path);
                Libc.PWriteExactly(file, new byte[1 << 20], 0);
                Libc.FSync(file);
                file.CloseChecked();
            }
            finally
            {
                File.Delete(path);
            }
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ImageException(ImageFault.Storage, $"{path} cannot be removed: {e.Message}", e);
        }
    }
}

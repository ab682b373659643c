using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether writes and reads past the page cache work.</summary>
internal static class DirectIoCheck
{
    private const int Large = 1 << 20;

    public static Finding Look(StorageScene scene)
    {
        using var buffer = new AlignedBuffer(Large);
        using var back = new AlignedBuffer(Large);
        Descriptor file;
        try
        {
            file = scene.Files.Create("direct", OpenFlags.Direct);
        }
        catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.EOPNOTSUPP)
        {
            return Missing("Files cannot be opened with O_DIRECT.");
        }

        using (file)
        {
            foreach (var (length, offset) in new[] { (Page.Size, 0L), (Large, (long)Page.Size) })
            {
                var bytes = buffer.Span[..length];
                new Random(length).NextBytes(bytes);
                try
                {
                    Libc.PWriteExactly(file, bytes, offset);
                    back.Span.Clear();
                    Libc.PReadExactly(file, back.Span[..length], offset);
                }
                catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.EOPNOTSUPP)
                {
                    return Missing($"O_DIRECT is taken at open, and then {e.Call} of {length} bytes fails: {ErrnoException.Describe(e.Errno)}.");
                }

                if (!back.Span[..length].SequenceEqual(bytes))
                    return Finding.Failed(
                        $"{length} bytes that were written past the page cache read back as others.", "no image on it could be trusted", "do not use this storage; report it to its maker");
            }
        }

        return Finding.Ok("4 KiB and 1 MiB were written past the page cache, and read back the same.");
    }

    private static Finding Missing(string found) => Finding.Warning(
        found, "saves then write by the page cache: slower, and the host's memory fills with pages that nobody reads again",
        "nothing must be done; a file system with O_DIRECT is faster");
}

using DistMigrate.Posix;

namespace DistMigrate.Guests;

/// <summary>The file behind a mapping of another process.</summary>
internal static class MappedFile
{
    /// <summary>
    /// A description of the mapped file that is ours alone. The link in map_files is exact but needs CAP_SYS_ADMIN or
    /// CAP_CHECKPOINT_RESTORE; QEMU keeps the file open, so its descriptor table has it too. Null when neither may be used.
    /// </summary>
    public static Descriptor? TryOpen(int pid, ProcessMapping mapping)
    {
        try
        {
            return Libc.Open($"/proc/{pid}/map_files/{mapping.MapFilesName}", OpenFlags.ReadOnly);
        }
        catch (ErrnoException e) when (e.Errno is Errno.EPERM or Errno.EACCES or Errno.ENOENT or Errno.ENOSYS)
        {
        }

        IEnumerable<string> names;
        try
        {
            names = Directory.GetFiles($"/proc/{pid}/fd");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }

        foreach (var name in names)
        {
            try
            {
                // statx before open: opening a descriptor of another kind, such as a tape, could have an effect.
                if (!IsFileOf(Libc.Identify(name), mapping))
                    continue;
                var file = Libc.Open(name, OpenFlags.ReadOnly);
                if (IsFileOf(Libc.Identify(file), mapping))
                    return file;
                file.Dispose();
            }
            catch (ErrnoException e) when (e.Errno is Errno.ENOENT or Errno.EACCES or Errno.EPERM)
            {
            }
        }

        return null;
    }

    private static bool IsFileOf(FileIdentity identity, ProcessMapping mapping) =>
        identity.Inode == mapping.Inode && $"{identity.Device >> 32:x2}:{identity.Device & 0xffffffff:x2}" == mapping.Device;
}

using System.Globalization;
using DistMigrate.Client.Values;
using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether files may be as large as guests are.</summary>
internal static class FileSizeCheck
{
    private const long Wanted = 8L << 40;
    private const long Least = 1L << 30;
    private const string LimitName = "Max file size";

    public static Finding Look(StorageScene scene)
    {
        // A process that goes beyond its own limit is ended by a signal, so that is not tried.
        var limit = LimitIn(File.ReadLines("/proc/self/limits"));
        using var file = scene.Files.Create("size");
        for (var size = Math.Min(Wanted, limit); ; size /= 2)
        {
            try
            {
                Libc.Truncate(file, size);
                Libc.Truncate(file, 0);
                return Judge(size, limit);
            }
            catch (ErrnoException e) when (e.Errno is Errno.EFBIG or Errno.EINVAL or Errno.ENOSPC && size > Least)
            {
                // The next smaller one may do.
            }
        }
    }

    internal static Finding Judge(long size, long limit) => size >= Wanted
        ? Finding.Ok($"Files may have {ByteSize.Format(Wanted)}.")
        : Finding.Warning(
            $"Files may have {ByteSize.Format(size)} and not {ByteSize.Format(size * 2.0)}.", "an image is a little longer than its guest's memory, used or not",
            limit <= size ? "raise the user's limit (ulimit -f, LimitFSIZE= in the silo's unit)" : "save larger guests to a file system that takes larger files");

    /// <summary>The process's own limit, from the lines of /proc/PID/limits.</summary>
    internal static long LimitIn(IEnumerable<string> limits)
    {
        var line = limits.FirstOrDefault(l => l.StartsWith(LimitName, StringComparison.Ordinal));
        var soft = line?[LimitName.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        return long.TryParse(soft, NumberStyles.None, CultureInfo.InvariantCulture, out var bytes) ? bytes : long.MaxValue;
    }
}

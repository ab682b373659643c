namespace DistMigrate.Client.Doctor.Storage;

/// <summary>What the kernel knows of the write cache of the disk below a file system.</summary>
internal static class WriteCache
{
    /// <summary><c>write back</c>: the disk has one, which fsync empties; <c>write through</c>: it needs none. Null when there is no such disk.</summary>
    public static string? Of(MountEntry mount)
    {
        var device = Path.Combine("/sys/dev/block", mount.Device);

        // A partition has no queue of its own, but lies in its disk's folder.
        var folder = Directory.Exists(device) ? new DirectoryInfo(device).ResolveLinkTarget(returnFinalTarget: true)?.FullName : null;
        if (folder is null)
            return null;
        var file = new[] { folder, Path.GetDirectoryName(folder)! }.Select(f => Path.Combine(f, "queue", "write_cache")).FirstOrDefault(File.Exists);
        return file is null ? null : File.ReadAllText(file).Trim();
    }
}

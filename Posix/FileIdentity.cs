namespace DistMigrate.Posix;

/// <summary>What tells one file from another that took its name, and whether a name still leads to it (statx(2)).</summary>
/// <param name="Device">The device number of its file system.</param>
/// <param name="Inode">The inode number on that device.</param>
/// <param name="Links">How many names it has; 0 when another host or process removed it while it is open.</param>
/// <param name="Length">Its length in bytes.</param>
/// <param name="AllocatedBytes">Bytes that the file system holds for it; less than <paramref name="Length"/> for a sparse file.</param>
public readonly record struct FileIdentity(
    ulong Device, ulong Inode, uint Links, long Length, long AllocatedBytes)
{
    /// <summary>Whether both describe the same file.</summary>
    public bool IsSameFile(FileIdentity other) => Device == other.Device && Inode == other.Inode;
}

namespace DistMigrate.Posix;

/// <summary>What a file system has left, and how long its names may be (statvfs(3)).</summary>
/// <param name="TotalBytes">Its size.</param>
/// <param name="AvailableBytes">What this user may still write; less than what is free where a part is kept for root.</param>
/// <param name="Files">How many files it can hold; 0 where it does not tell, since it makes room for them as they come.</param>
/// <param name="AvailableFiles">How many more this user may create.</param>
/// <param name="LongestName">The longest file name in bytes.</param>
public readonly record struct FileSystemSpace(long TotalBytes, long AvailableBytes, long Files, long AvailableFiles, int LongestName);

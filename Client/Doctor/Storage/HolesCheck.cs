using DistMigrate.Client.Values;
using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether sparse files stay sparse, and whether SEEK_DATA tells the truth of them.</summary>
internal static class HolesCheck
{
    private const long Length = 64L << 20;
    private const long DataAt = Length / 2;

    // Some file systems hold data in large clusters.
    private const long FewBytes = Length / 4;

    public static Finding Look(StorageScene scene)
    {
        using var file = scene.Files.Create("holes");
        var page = new byte[Page.Size];
        Random.Shared.NextBytes(page);
        Libc.Truncate(file, Length);
        Libc.PWriteExactly(file, page, DataAt);
        Libc.FSync(file);
        return Judge(Libc.TryExtents(file, 0, Length), Libc.Identify(file).AllocatedBytes, scene);
    }

    internal static Finding Judge(List<(long Start, long End)>? extents, long allocated, StorageScene scene)
    {
        if (extents is not null && !extents.Any(extent => extent.Start <= DataAt && extent.End >= DataAt + Page.Size))
            return Finding.Failed(
                "SEEK_DATA passes over a page that was written.", "whoever copies or loads an image by its holes loses pages", "do not use this storage; report it to its maker");
        if (allocated > FewBytes)
            return Finding.Warning(
                $"A file of 64 MiB with one page in it is counted as {ByteSize.Format(allocated)}.",
                "an image may take as much space as its guest has memory, used or not", scene.FixOnNfs("use a file system with sparse files, or count on that space"));
        return extents is null || extents.Sum(extent => extent.End - extent.Start) > FewBytes
            ? Finding.Warning(
                "Files are sparse, but SEEK_HOLE does not tell their holes.", "restore and verify read the holes too, so a large guest with much unused memory takes longer",
                scene.FixOnNfs("nothing must be done; a file system that tells them is faster"))
            : Finding.Ok("Files are sparse, and SEEK_DATA and SEEK_HOLE tell where their data is.");
    }
}

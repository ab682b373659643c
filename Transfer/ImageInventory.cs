using System.Buffers.Binary;
using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>What images and their side files take below one storage root, in bytes that the file system holds.</summary>
/// <param name="Storage">The root.</param>
/// <param name="Active">Of saves that have not ended.</param>
/// <param name="Complete">Of published images.</param>
/// <param name="Orphan">Of saves that no migration goes on with.</param>
public sealed record ImageSpace(string Storage, long Active, long Complete, long Orphan);

/// <summary>
/// Measures what images take below the storage roots. It takes no locks, so a save that starts meanwhile is not refused; what may be removed
/// is decided by <see cref="Leftovers"/>.
/// </summary>
/// <param name="roots">The storage roots.</param>
/// <param name="saves">The saves that the catalog knows.</param>
public sealed class ImageInventory(IReadOnlyList<string> roots, IReadOnlyList<KnownSave> saves)
{
    private static readonly ImagePaths Names = new("");

    private static readonly string[] Endings = [Names.Partial, Names.Journal, Names.Manifest];

    /// <summary>Measures on a thread of its own, since storage may hang.</summary>
    /// <param name="cancellation">Ends it where the storage still answers.</param>
    public Task<IReadOnlyList<ImageSpace>> MeasureAsync(CancellationToken cancellation) =>
        StorageThread.RunAsync<IReadOnlyList<ImageSpace>>(() => [.. roots.Select(root => Measure(root, cancellation))]);

    /// <summary>Whether a file begins as an image does.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read.</exception>
    internal static bool IsImage(string path)
    {
        Span<byte> magic = stackalloc byte[sizeof(uint)];
        if (new FileInfo(path) is not { Exists: true, LinkTarget: null, Length: >= sizeof(uint) })
            return false;
        using var file = Libc.Open(path, OpenFlags.ReadOnly);
        return Libc.PRead(file, magic, 0) == magic.Length && BinaryPrimitives.ReadUInt32BigEndian(magic) == StreamFormat.FileMagic;
    }

    private ImageSpace Measure(string root, CancellationToken cancellation)
    {
        var unfinished = saves.Where(save => save.IsUnfinished).Select(save => save.ImagePath).ToHashSet(StringComparer.Ordinal);
        long active = 0, complete = 0, orphan = 0;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var path in new StorageWalk(root, name => Array.Exists(Endings, name.EndsWith), cancellation).Candidates())
        {
            var image = new ImagePaths(path[..^Array.Find(Endings, path.EndsWith)!.Length]);
            if (!seen.Add(image.Image) || image.Image.Length == 0)
                continue;
            try
            {
                if (IsImage(image.Image) && File.Exists(image.Manifest))
                    complete += BytesOf(image.Image, image.Manifest, image.Checksums);
                if (!IsImage(image.Partial))
                    continue;
                var bytes = BytesOf(image.Partial, image.Journal, image.PartialManifest, image.PartialChecksums);
                if (unfinished.Contains(image.Image))
                    active += bytes;
                else
                    orphan += bytes;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Another save's file that has just gone, or a stranger's that may not be read.
            }
        }

        return new ImageSpace(root, active, complete, orphan);
    }

    private static long BytesOf(params string[] paths) => paths.Where(File.Exists).Sum(path => Libc.Identify(path).AllocatedBytes);
}

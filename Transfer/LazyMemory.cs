using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>The RAMBlocks of an image that a lazily restored guest has as private mappings of the image.</summary>
internal static class LazyMemory
{
    private const int ChunkLength = 1 << 20;

    /// <summary>Whether a RAMBlock is mapped; small ones are loaded.</summary>
    public static bool IsMapped(bool isLazy, RamBlockLayout block) => isLazy && block.UsedLength >= Preload.LeastBlock;

    /// <summary>The RAMBlocks that are mapped.</summary>
    /// <exception cref="ImageException">The image cannot be read, or has none that are large enough.</exception>
    public static IReadOnlyList<MappedBlock> BlocksOf(string imagePath)
    {
        var image = ImageCheck.Read(imagePath);
        var blocks = image.Blocks.Select(block => block.Layout).Where(block => IsMapped(true, block)).ToList();
        if (blocks.Count == 0 || blocks.Count == image.Blocks.Count)
        {
            throw new ImageException(ImageFault.Mismatch,
                $"{imagePath} cannot be restored lazily: that needs a RAMBlock of at least {Preload.LeastBlock >> 20} MiB, and a smaller one. Restore it without --lazy.");
        }

        return [.. blocks.Select(block => new MappedBlock(block.Name, block.UsedLength, block.PagesOffset))];
    }

    /// <summary>Reads what the guest may touch into the page cache, so that it waits for storage less often.</summary>
    /// <exception cref="IOException">The storage failed.</exception>
    public static void Prefetch(string imagePath)
    {
        using var image = HostFileSystem.Instance.Open(imagePath, OpenFlags.ReadOnly);
        var buffer = new byte[ChunkLength];
        foreach (var (start, end) in image.TryExtents(0, image.Length) ?? [(0, image.Length)])
        {
            for (var offset = start; offset < end; offset += ChunkLength)
                image.ReadExactly(offset, buffer.AsSpan(0, (int)Math.Min(ChunkLength, end - offset)));
        }
    }
}

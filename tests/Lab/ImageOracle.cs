using System.Buffers.Binary;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace DistMigrate.Tests.Lab;

/// <summary>
/// A second, minimal reader of mapped-ram images (QEMU's docs/devel/migration/mapped-ram.rst), which shares no code with the product and
/// accepts only images that are whole. It also damages images, for negative controls.
/// </summary>
public static class ImageOracle
{
    private const int PageSize = 4096;
    private const ulong Configuration = 7;
    private const ulong Subsection = 5;
    private const ulong SectionStart = 1;
    private const ulong MemorySizeFlag = 4;

    /// <summary>Where the pages of a block lie.</summary>
    /// <param name="Name">The block's name.</param>
    /// <param name="UsedLength">Bytes of the block.</param>
    /// <param name="BitmapOffset">Position of its bitmap in the file.</param>
    /// <param name="PagesOffset">Position of its page 0 in the file.</param>
    public sealed record Block(string Name, long UsedLength, long BitmapOffset, long PagesOffset);

    /// <summary>The blocks of an image in the order of the file.</summary>
    /// <param name="path">The image, without anything before its magic.</param>
    /// <exception cref="InvalidDataException">It is no mapped-ram image of x86.</exception>
    public static IReadOnlyList<Block> Layout(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        Expect(Number(file, 4), 0x5145564dUL, "magic");
        Expect(Number(file, 4), 3UL, "version");
        Expect(Number(file, 1), Configuration, "configuration section");
        var machineNameLength = (long)Number(file, 4);
        file.Position += machineNameLength;
        Expect(Number(file, 1), Subsection, "subsection");
        Expect(Text(file), "configuration/capabilities", "subsection");
        Expect(Number(file, 4), 1UL, "subsection version");
        Expect(Number(file, 4), 1UL, "number of capabilities");
        Expect(Text(file), "mapped-ram", "capability");
        Expect(Number(file, 1), SectionStart, "section start");
        _ = Number(file, 4);
        Expect(Text(file), "ram", "section name");
        Expect(Number(file, 4), 0UL, "instance");
        Expect(Number(file, 4), 4UL, "ram version");
        var left = (long)(Number(file, 8) - MemorySizeFlag);
        var blocks = new List<Block>();
        while (left > 0)
        {
            var name = Text(file);
            var usedLength = (long)Number(file, 8);
            Expect(Number(file, 4), 1UL, "header version");
            Expect(Number(file, 8), (ulong)PageSize, "page size");
            var block = new Block(name, usedLength, (long)Number(file, 8), (long)Number(file, 8));
            blocks.Add(block);
            file.Position = block.PagesOffset + usedLength;
            left -= usedLength;
        }

        Expect(left, 0L, "rest of the total length");
        Expect(Number(file, 8), 0x10UL, "EOS");
        return blocks;
    }

    /// <summary>The memory that the image holds: a page whose bit is clear is zero.</summary>
    /// <param name="path">The image.</param>
    public static MemorySnapshot Capture(string path)
    {
        var snapshot = new MemorySnapshot();
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var bytes = new byte[PageSize];
        foreach (var block in Layout(path))
        {
            var pages = snapshot.Add(block.Name, block.UsedLength);
            var bitmap = Bitmap(file, block);
            for (var page = 0L; page < pages.Length; page++)
            {
                if ((bitmap[page / 8] >> (int)(page % 8) & 1) != 0)
                {
                    ReadFully(file, block.PagesOffset + (page * PageSize), bytes);
                    pages[page] = MemorySnapshot.HashOf(bytes);
                }
            }
        }

        return snapshot;
    }

    /// <summary>Pages of a block whose bit is set in the image, in rising order.</summary>
    /// <param name="path">The image.</param>
    /// <param name="block">The block's name.</param>
    public static IReadOnlyList<long> PagesPresent(string path, string block)
    {
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var found = Find(path, block);
        var bitmap = Bitmap(file, found);
        var present = new List<long>();
        for (var page = 0L; page < found.UsedLength / PageSize; page++)
        {
            if ((bitmap[page / 8] >> (int)(page % 8) & 1) != 0)
            {
                present.Add(page);
            }
        }

        return present;
    }

    /// <summary>Changes bytes of a page in the image, as a torn or stale write would.</summary>
    /// <param name="path">The image.</param>
    /// <param name="block">The block's name.</param>
    /// <param name="page">Number of the page in its block.</param>
    /// <param name="start">First byte of the page to change.</param>
    /// <param name="length">Bytes to change: each is inverted.</param>
    public static void Damage(string path, string block, long page, int start = 0, int length = PageSize)
    {
        var position = Find(path, block).PagesOffset + (page * PageSize) + start;
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        var bytes = new byte[length];
        ReadFully(file, position, bytes);
        for (var i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)~bytes[i];
        }

        RandomAccess.Write(file, bytes, position);
    }

    /// <summary>Clears the bit of a page in the image: a lost page.</summary>
    /// <param name="path">The image.</param>
    /// <param name="block">The block's name.</param>
    /// <param name="page">Number of the page in its block.</param>
    public static void Lose(string path, string block, long page)
    {
        var position = Find(path, block).BitmapOffset + (page / 8);
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        var bits = new byte[1];
        ReadFully(file, position, bits);
        bits[0] &= (byte)~(1 << (int)(page % 8));
        RandomAccess.Write(file, bits, position);
    }

    private static Block Find(string path, string block) => Layout(path).Single(candidate => candidate.Name == block);

    private static byte[] Bitmap(SafeFileHandle file, Block block)
    {
        var bitmap = new byte[((block.UsedLength / PageSize) + 63) / 64 * 8];
        ReadFully(file, block.BitmapOffset, bitmap);
        return bitmap;
    }

    private static void ReadFully(SafeFileHandle file, long position, Span<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var read = RandomAccess.Read(file, buffer, position);
            if (read == 0)
            {
                throw new InvalidDataException($"The image ends at 0x{position:x}.");
            }

            position += read;
            buffer = buffer[read..];
        }
    }

    private static ulong Number(FileStream file, int bytes)
    {
        Span<byte> buffer = stackalloc byte[8];
        buffer.Clear();
        file.ReadExactly(buffer[^bytes..]);
        return BinaryPrimitives.ReadUInt64BigEndian(buffer);
    }

    private static string Text(FileStream file)
    {
        Span<byte> buffer = stackalloc byte[255];
        buffer = buffer[..(int)Number(file, 1)];
        file.ReadExactly(buffer);
        return Encoding.UTF8.GetString(buffer);
    }

    private static void Expect(object actual, object expected, string what)
    {
        if (!actual.Equals(expected))
        {
            throw new InvalidDataException($"The {what} is {actual} instead of {expected}.");
        }
    }
}

using System.Buffers.Binary;
using System.Globalization;
using System.IO.Hashing;
using System.Text;

namespace DistMigrate.MappedRam.Journal;

/// <summary>
/// One value for where everything stands in an image: XxHash128 over, for each RAMBlock, u64 length and bytes of its name, u64 used
/// length, u64 bitmap offset, u64 pages offset; then the u64 tail offset. All little-endian.
/// </summary>
public static class LayoutDigest
{
    /// <summary>The digest of a layout, as 32 hexadecimal digits.</summary>
    public static string Compute(ImageLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        return Compute(layout.Blocks, layout.TailOffset);
    }

    /// <summary>The digest of an image that was read; the same as that of the layout that it was written with.</summary>
    public static string Compute(MappedRamImage image)
    {
        ArgumentNullException.ThrowIfNull(image);
        return Compute(image.Blocks.Select(block => block.Layout), image.TailOffset);
    }

    private static string Compute(IEnumerable<RamBlockLayout> blocks, long tailOffset)
    {
        var hash = new XxHash128();
        foreach (var block in blocks)
        {
            var name = Encoding.UTF8.GetBytes(block.Name);
            Append(hash, name.Length);
            hash.Append(name);
            Append(hash, block.UsedLength);
            Append(hash, block.BitmapOffset);
            Append(hash, block.PagesOffset);
        }

        Append(hash, tailOffset);
        return hash.GetCurrentHashAsUInt128().ToString("x32", CultureInfo.InvariantCulture);
    }

    private static void Append(XxHash128 hash, long value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        hash.Append(bytes);
    }
}

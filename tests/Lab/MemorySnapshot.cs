using System.IO.Hashing;
using System.Text;

namespace DistMigrate.Tests.Lab;

/// <summary>All RAMBlocks of a guest or of an image at one moment, as a hash for every page.</summary>
public sealed class MemorySnapshot
{
    private const int PageSize = 4096;
    private const int ShownPerBlock = 8;

    private static readonly ulong ZeroPage = XxHash3.HashToUInt64(new byte[PageSize]);

    private readonly Dictionary<string, ulong[]> _blocks = new(StringComparer.Ordinal);

    internal MemorySnapshot()
    {
    }

    /// <summary>The blocks' names, sorted.</summary>
    public IReadOnlyList<string> Blocks => [.. _blocks.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Pages of a block.</summary>
    /// <param name="block">The block's name.</param>
    public long PageCount(string block) => _blocks[block].Length;

    /// <summary>Pages of a block that are not all zero.</summary>
    /// <param name="block">The block's name.</param>
    public long NonZeroPageCount(string block) => _blocks[block].LongCount(hash => hash != ZeroPage);

    /// <summary>Every difference between two snapshots in words, with the first differing pages of each block; null when there is none.</summary>
    /// <param name="actual">What is compared with this.</param>
    /// <param name="except">Block and page that may differ; null for none.</param>
    public string? DifferenceTo(MemorySnapshot actual, Func<string, long, bool>? except = null)
    {
        var text = new StringBuilder();
        foreach (var (name, pages) in _blocks)
        {
            if (!actual._blocks.TryGetValue(name, out var others))
            {
                text.AppendLine($"RAMBlock {name} is missing.");
            }
            else if (others.Length != pages.Length)
            {
                text.AppendLine($"RAMBlock {name} has {others.Length} pages instead of {pages.Length}.");
            }
            else
            {
                DescribePages(text, name, pages, others, except);
            }
        }

        foreach (var name in actual._blocks.Keys.Where(name => !_blocks.ContainsKey(name)))
        {
            text.AppendLine($"RAMBlock {name} should not be there.");
        }

        return text.Length == 0 ? null : text.ToString();
    }

    internal static ulong HashOf(ReadOnlySpan<byte> page) => XxHash3.HashToUInt64(page);

    /// <summary>Adds a block whose pages are still all zero, and returns its hashes for filling in.</summary>
    internal ulong[] Add(string block, long usedLength)
    {
        var pages = new ulong[usedLength / PageSize];
        Array.Fill(pages, ZeroPage);
        return _blocks.TryAdd(block, pages)
            ? pages
            : throw new InvalidOperationException($"There are two RAMBlocks of the name {block}.");
    }

    private static void DescribePages(StringBuilder text, string name, ulong[] expected, ulong[] actual, Func<string, long, bool>? except)
    {
        var differing = 0L;
        for (var page = 0L; page < expected.Length; page++)
        {
            if (expected[page] == actual[page] || except?.Invoke(name, page) == true)
            {
                continue;
            }

            if (differing++ < ShownPerBlock)
            {
                var kind = actual[page] == ZeroPage ? "is zero and should not be" : expected[page] == ZeroPage ? "should be zero" : "differs";
                text.AppendLine($"RAMBlock {name}: page {page} at 0x{page * PageSize:x} {kind}.");
            }
        }

        if (differing > ShownPerBlock)
        {
            text.AppendLine($"RAMBlock {name}: {differing} pages of {expected.Length} differ in all.");
        }
    }
}

using System.Globalization;

namespace DistMigrate.Guests;

/// <summary>One migratable RAMBlock of a guest.</summary>
/// <param name="Name">Its id in the migration stream, such as <c>pc.ram</c>; at most 255 bytes.</param>
/// <param name="UsedLength">Bytes in use now, a multiple of 4096: what a migration carries.</param>
/// <param name="MaxLength">Bytes it may grow to.</param>
/// <param name="PageSize">The host page size behind it in bytes, such as 4096 or 2 MiB; not the target page size.</param>
/// <param name="HostAddress">Where it starts in QEMU's address space.</param>
/// <param name="ReadOnly">Whether the guest may only read it, as with a ROM.</param>
public sealed record RamBlock(string Name, long UsedLength, long MaxLength, long PageSize, ulong HostAddress, bool ReadOnly)
{
    private const int TargetPage = 4096;

    /// <summary>Whether a <c>memory-backend-file</c> object is behind it: with a shared mapping that is what QEMU calls
    /// RAM_NAMED_FILE, the memory that <c>x-ignore-shared</c> leaves out.</summary>
    public bool IsMemoryBackendFile { get; init; }

    /// <summary>Where it begins among QEMU's RAM addresses (ram_addr_t), by which its dirty log counts pages.</summary>
    public ulong RamAddress { get; init; }

    /// <summary>
    /// Reads the text of <c>x-query-ramblock</c>: after one heading line each line is <c>name psize-number psize-unit offset used
    /// total hva ro|rw</c>. A long name overflows its column, so lines are read from the right. RAMBlocks without a name are not
    /// migratable and are left out.
    /// </summary>
    /// <exception cref="GuestException">A line has another shape (CommandFailed).</exception>
    public static IReadOnlyList<RamBlock> Parse(string text)
    {
        var lines = text.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (lines.Length == 0 || !lines[0].StartsWith("Block Name", StringComparison.Ordinal))
            throw Garbage("the heading is missing", lines.FirstOrDefault() ?? "");
        var blocks = new List<RamBlock>();
        foreach (var line in lines.AsSpan(1))
        {
            var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length < 7)
                throw Garbage("fewer than seven columns", line);
            var right = words.AsSpan(words.Length - 7);
            if (!long.TryParse(right[0], NumberStyles.None, CultureInfo.InvariantCulture, out var pages)
                || Unit(right[1]) is not { } unit || pages is < 1 or > 1024
                || Hex(right[2]) is not { } offset || Hex(right[3]) is not { } used || Hex(right[4]) is not { } max || Hex(right[5]) is not { } address
                || right[6] is not ("ro" or "rw"))
                throw Garbage("a column is not of its kind", line);
            if (words.Length == 7)
                continue;

            // The columns end where the seventh word from the right starts; a name may hold single blanks of its own.
            var name = string.Join(' ', words[..^7]);
            if (used > max || max > (ulong)long.MaxValue / 2 || used % TargetPage != 0 || address % TargetPage != 0
                || System.Text.Encoding.UTF8.GetByteCount(name) > 255)
                throw Garbage("a length or an address is out of range", line);
            blocks.Add(new RamBlock(name, (long)used, (long)max, pages * unit, address, right[6] == "ro") { RamAddress = offset });
        }

        if (blocks.Select(b => b.Name).Distinct(StringComparer.Ordinal).Count() != blocks.Count)
            throw Garbage("two RAMBlocks have the same name", text);
        return blocks;
    }

    private static long? Unit(string word) => word switch
    {
        "B" => 1,
        "KiB" => 1L << 10,
        "MiB" => 1L << 20,
        "GiB" => 1L << 30,
        _ => null,
    };

    private static ulong? Hex(string word) =>
        word.StartsWith("0x", StringComparison.Ordinal)
        && ulong.TryParse(word.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            ? value
            : null;

    private static GuestException Garbage(string why, string line) => new(GuestFault.CommandFailed,
        $"QEMU's list of RAMBlocks (x-query-ramblock) cannot be read: {why}: \"{(line.Length > 200 ? line[..200] : line)}\". This QEMU version writes it in a way that is not known here.");
}

using System.Globalization;

namespace DistMigrate.Client.Doctor.Guests;

/// <summary>A guest's largest RAMBlock.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Length">Bytes in use.</param>
/// <param name="Address">Where it starts in QEMU's address space.</param>
internal sealed record GuestRam(string Name, long Length, ulong Address)
{
    // Read from the right, since names may be long and hold blanks: page size and its unit, offset, used length, whole length, address, ro or rw.
    private const int Columns = 7;

    /// <summary>Reads the text of <c>x-query-ramblock</c>; null when no line of it is known here.</summary>
    public static GuestRam? LargestIn(string text) => text.Split('\n').Select(Parse).OfType<GuestRam>().MaxBy(ram => ram.Length);

    private static GuestRam? Parse(string line)
    {
        var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words.Length > Columns && words[^1] is "ro" or "rw" && Hex(words[^4]) is { } used and <= long.MaxValue && Hex(words[^2]) is { } address
            ? new GuestRam(string.Join(' ', words[..^Columns]), (long)used, address)
            : null;
    }

    private static ulong? Hex(string word) =>
        word.StartsWith("0x", StringComparison.Ordinal)
        && ulong.TryParse(word.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            ? value
            : null;
}

using System.Globalization;

namespace DistMigrate.Tests.Lab;

/// <summary>A line of QEMU's <c>x-query-ramblock</c>.</summary>
/// <param name="Name">The block's name.</param>
/// <param name="UsedLength">Bytes in use, a multiple of 4096.</param>
/// <param name="HostAddress">Where the block lies in the QEMU process.</param>
public sealed record RamBlock(string Name, long UsedLength, long HostAddress)
{
    /// <summary>The blocks of a guest that go into an image, in QEMU's order.</summary>
    /// <param name="guest">The guest.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    public static async Task<IReadOnlyList<RamBlock>> ListAsync(QemuProcess guest, CancellationToken cancellationToken = default)
    {
        var answer = await guest.Monitor.ExecuteAsync("x-query-ramblock", null, cancellationToken);
        var lines = answer.GetProperty("human-readable-text").GetString()!.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return [.. lines.Skip(1).Select(Parse).OfType<RamBlock>()];
    }

    // From the right: RO, HVA, Total, Used, Offset and the two words of PSize. A block that never migrates has no name.
    private static RamBlock? Parse(string line)
    {
        const int Fields = 7;
        var words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return words.Length == Fields
            ? null
            : new RamBlock(string.Join(' ', words[..^Fields]), Hexadecimal(words[^4]), Hexadecimal(words[^2]));
    }

    private static long Hexadecimal(string word) => long.Parse(word.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}

using System.Globalization;

namespace DistMigrate.Tests.Lab;

/// <summary>A line of <c>/proc/PID/maps</c> (proc(5)).</summary>
internal sealed record ProcessMapping(long Start, long End, bool IsShared, long FileOffset, long Inode)
{
    public static IReadOnlyList<ProcessMapping> Read(int pid) =>
        [.. File.ReadLines($"/proc/{pid.ToString(CultureInfo.InvariantCulture)}/maps").Select(Parse)];

    private static ProcessMapping Parse(string line)
    {
        var words = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
        var dash = words[0].IndexOf('-', StringComparison.Ordinal);
        return new ProcessMapping(
            Hexadecimal(words[0].AsSpan(0, dash)),
            // Above 2^63 lies only the kernel's own page, which no block touches.
            ulong.TryParse(words[0].AsSpan(dash + 1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var end) && end <= long.MaxValue
                ? (long)end
                : long.MaxValue,
            words[1][3] == 's',
            Hexadecimal(words[2]),
            long.Parse(words[4], CultureInfo.InvariantCulture));
    }

    private static long Hexadecimal(ReadOnlySpan<char> word) =>
        unchecked((long)ulong.Parse(word, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
}

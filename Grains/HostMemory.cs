using System.Globalization;

namespace DistMigrate.Grains;

/// <summary>The memory of this host.</summary>
internal static class HostMemory
{
    private const string Available = "MemAvailable:";

    /// <summary>Bytes that new guests may use without swapping, as Linux estimates them; null when it does not tell.</summary>
    public static long? ReadAvailable()
    {
        try
        {
            return ParseAvailable(File.ReadLines("/proc/meminfo"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    internal static long? ParseAvailable(IEnumerable<string> meminfo) =>
        meminfo.FirstOrDefault(line => line.StartsWith(Available, StringComparison.Ordinal)) is { } line
        && line[Available.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries) is [var number, "kB"]
        && long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var kib) && kib <= long.MaxValue / 1024
            ? kib * 1024
            : null;
}

using System.Globalization;

namespace DistMigrate.Client.Values;

/// <summary>
/// Sizes and rates as people write them. K, M, G and T alone are powers of 1024, as in QEMU's own options; with B they are
/// powers of 1000 (MB) and with iB powers of 1024 (MiB).
/// </summary>
internal static class ByteSize
{
    private static readonly string[] BinaryUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary>Three significant digits and a binary unit: <c>1.50 GiB</c>, <c>256 MiB</c>, <c>17 B</c>.</summary>
    public static string Format(double bytes)
    {
        var unit = 0;
        // Three digits are shown, so a value that rounds to 1024 belongs to the next unit.
        while (Math.Abs(bytes) >= 1023.5 && unit < BinaryUnits.Length - 1)
        {
            bytes /= 1024;
            unit++;
        }
        var whole = Math.Abs(bytes - Math.Round(bytes)) < 0.005;
        var digits = unit == 0 || whole || Math.Abs(bytes) >= 99.95 ? "0" : Math.Abs(bytes) >= 9.995 ? "0.0" : "0.00";
        return bytes.ToString(digits, CultureInfo.InvariantCulture) + " " + BinaryUnits[unit];
    }

    /// <summary>A rate, such as <c>812 MiB/s</c>.</summary>
    public static string FormatRate(double bytesPerSecond) => Format(bytesPerSecond) + "/s";

    /// <summary>Reads a size such as <c>256MiB</c>, <c>1.5G</c> or <c>4096</c>.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        var trimmed = text.Trim();
        var digits = 0;
        while (digits < trimmed.Length && (char.IsAsciiDigit(trimmed[digits]) || trimmed[digits] == '.'))
            digits++;
        if (!decimal.TryParse(trimmed.AsSpan(0, digits), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number))
            return false;
        var factor = Factor(trimmed[digits..].Trim());
        if (factor == 0 || number > long.MaxValue / factor)
            return false;
        bytes = (long)(number * factor);
        return true;
    }

    /// <summary>Reads a rate: a size, with or without <c>/s</c>.</summary>
    public static bool TryParseRate(string text, out long bytesPerSecond)
    {
        var trimmed = text.Trim();
        if (trimmed.EndsWith("/s", StringComparison.OrdinalIgnoreCase))
            trimmed = trimmed[..^2];
        return TryParse(trimmed, out bytesPerSecond);
    }

    private static long Factor(string unit) => unit.ToUpperInvariant() switch
    {
        "" or "B" => 1,
        "K" or "KIB" => 1L << 10,
        "M" or "MIB" => 1L << 20,
        "G" or "GIB" => 1L << 30,
        "T" or "TIB" => 1L << 40,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => 0,
    };
}

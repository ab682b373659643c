using System.Globalization;
using System.Text;

namespace DistMigrate.Client.Values;

/// <summary>Text from images, guests and silos, made fit for a terminal.</summary>
internal static class Printable
{
    /// <summary>Control and formatting characters become \uXXXX, so that a name from a hostile image cannot steer the terminal.</summary>
    public static string Of(string text)
    {
        if (!text.Any(IsUnfit))
            return text;
        var result = new StringBuilder(text.Length + 16);
        foreach (var c in text)
        {
            if (IsUnfit(c))
                result.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                result.Append(c);
        }
        return result.ToString();
    }

    /// <summary>The same, where line ends may stay.</summary>
    public static string Lines(string text) => string.Join('\n', text.ReplaceLineEndings("\n").Split('\n').Select(Of));

    /// <summary>A count with its digits in groups of three: <c>65 536</c>.</summary>
    public static string Count(long number) => number.ToString("#,0", Grouped);

    private static readonly NumberFormatInfo Grouped = new() { NumberGroupSeparator = " " };

    private static bool IsUnfit(char c) =>
        char.GetUnicodeCategory(c) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
            or UnicodeCategory.ParagraphSeparator or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse;
}

namespace DistMigrate.Client.Values;

/// <summary>Names of guests: 1 to 64 ASCII letters, digits, dots, dashes or underscores.</summary>
internal static class GuestName
{
    public const int MaxLength = 64;

    public static bool IsValid(string name) => name.Length is > 0 and <= MaxLength && name.All(IsAllowed);

    /// <summary>A valid name made of an image's file name without its extension.</summary>
    public static string OfImage(string imagePath)
    {
        var stem = Path.GetFileNameWithoutExtension(imagePath);
        var name = new string([.. stem.Take(MaxLength).Select(c => IsAllowed(c) ? c : '-')]);
        return name.Length == 0 ? "guest" : name;
    }

    private static bool IsAllowed(char c) => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_';
}

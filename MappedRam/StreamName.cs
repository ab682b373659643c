using System.Text;
using System.Text.Unicode;

namespace DistMigrate.MappedRam;

/// <summary>What counts as a name in the stream: UTF-8 without control characters, not empty.</summary>
internal static class StreamName
{
    /// <summary>Whether the name can be written. A lone surrogate would become another character on the way.</summary>
    public static bool IsValid(string name) =>
        name.Length > 0 && !name.Any(char.IsControl) && Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(name)) == name;

    /// <summary>Decodes a name.</summary>
    /// <returns>Whether the bytes are one; where not, <paramref name="name"/> shows them without control characters.</returns>
    public static bool TryDecode(ReadOnlySpan<byte> bytes, out string name)
    {
        name = Encoding.UTF8.GetString(bytes);
        if (Utf8.IsValid(bytes) && name.Length > 0 && !name.Any(char.IsControl))
        {
            return true;
        }

        name = string.Concat(name.Select(character => char.IsControl(character) ? '?' : character));
        return false;
    }
}

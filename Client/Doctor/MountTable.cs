using System.Text;

namespace DistMigrate.Client.Doctor;

/// <summary>The mounted file systems, as this process sees them.</summary>
internal static class MountTable
{
    // Six fields, optional ones up to a dash, then type, source and the file system's own options.
    private const int FirstOptional = 6;
    private const string EndOfOptional = "-";

    /// <summary>Reads the table of this process.</summary>
    public static IReadOnlyList<MountEntry> Read() => Parse(File.ReadAllText("/proc/self/mountinfo"));

    /// <summary>Reads the lines of a table; those of another shape are left out.</summary>
    public static IReadOnlyList<MountEntry> Parse(string text) => [.. text.Split('\n').Select(ParseLine).OfType<MountEntry>()];

    /// <summary>The file system that a path is on: the longest mount point above it, and of several at one point the last, which covers the others.</summary>
    /// <param name="mounts">The table.</param>
    /// <param name="path">An absolute path without links.</param>
    public static MountEntry? Find(IReadOnlyList<MountEntry> mounts, string path)
    {
        MountEntry? found = null;
        foreach (var mount in mounts)
        {
            if (IsBelow(path, mount.MountPoint) && (found is null || mount.MountPoint.Length >= found.MountPoint.Length))
                found = mount;
        }
        return found;
    }

    /// <summary>Whether a path is a folder or lies below it.</summary>
    public static bool IsBelow(string path, string folder) =>
        folder == "/" ? path.StartsWith('/')
        : path == folder || (path.StartsWith(folder, StringComparison.Ordinal) && path[folder.Length] == '/');

    private static MountEntry? ParseLine(string line)
    {
        var words = line.Split(' ');
        var dash = words.Length > FirstOptional ? Array.IndexOf(words, EndOfOptional, FirstOptional) : -1;
        if (dash < 0 || words.Length < dash + 4)
            return null;
        var options = words[5].Split(',').Concat(words[dash + 3].Split(',')).Where(o => o.Length > 0).Select(Unescape).Distinct(StringComparer.Ordinal);
        return new MountEntry(words[2], Unescape(words[4]), Unescape(words[dash + 1]), Unescape(words[dash + 2]), [.. options]);
    }

    /// <summary>The kernel writes blanks, tabs, line ends and backslashes as a backslash and three octal digits, byte by byte.</summary>
    private static string Unescape(string word)
    {
        if (!word.Contains('\\'))
            return word;
        var source = Encoding.UTF8.GetBytes(word);
        var bytes = new List<byte>(source.Length);
        for (var i = 0; i < source.Length; i++)
        {
            if (source[i] == '\\' && i + 3 < source.Length && IsOctal(source[i + 1]) && IsOctal(source[i + 2]) && IsOctal(source[i + 3]))
            {
                bytes.Add((byte)(((source[i + 1] - '0') << 6) | ((source[i + 2] - '0') << 3) | (source[i + 3] - '0')));
                i += 3;
            }
            else
            {
                bytes.Add(source[i]);
            }
        }
        return Encoding.UTF8.GetString([.. bytes]);
    }

    private static bool IsOctal(byte digit) => digit is >= (byte)'0' and <= (byte)'7';
}

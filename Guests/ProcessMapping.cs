using System.Globalization;

namespace DistMigrate.Guests;

/// <summary>One line of /proc/PID/maps (proc_pid_maps(5)).</summary>
/// <param name="Start">First address.</param>
/// <param name="End">First address behind it.</param>
/// <param name="Shared">Whether writes reach the file (permission column <c>s</c>).</param>
/// <param name="Offset">Where in the file it starts, in bytes.</param>
/// <param name="Device">The file's device as the kernel writes it, <c>major:minor</c> in hexadecimal.</param>
/// <param name="Inode">The file's inode, 0 for anonymous memory.</param>
/// <param name="Path">The file's path with the kernel's <c> (deleted)</c> mark, a pseudo name such as <c>[heap]</c>, or empty.</param>
internal sealed record ProcessMapping(ulong Start, ulong End, bool Shared, long Offset, string Device, ulong Inode, string Path)
{
    /// <summary>Whether no file is behind it.</summary>
    public bool IsAnonymous => Inode == 0;

    /// <summary>The name of its link in /proc/PID/map_files.</summary>
    public string MapFilesName => $"{Start:x}-{End:x}";

    /// <summary>Reads one line.</summary>
    /// <exception cref="FormatException">The line has another shape.</exception>
    public static ProcessMapping Parse(string line)
    {
        var words = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
        var dash = words.Length >= 5 ? words[0].IndexOf('-') : -1;
        if (dash < 1 || words[1].Length != 4
            || !Hex(words[0].AsSpan(0, dash), out var start) || !Hex(words[0].AsSpan(dash + 1), out var end) || end <= start
            || !Hex(words[2], out var offset) || offset > long.MaxValue
            || !ulong.TryParse(words[4], NumberStyles.None, CultureInfo.InvariantCulture, out var inode))
            throw new FormatException($"Not a line of /proc/PID/maps: \"{line}\".");
        return new ProcessMapping(start, end, words[1][3] == 's', (long)offset, words[3], inode, words.Length == 6 ? words[5].Trim() : "");
    }

    /// <summary>The mappings that make up an address range, in order; empty when part of the range is not mapped.</summary>
    public static IReadOnlyList<ProcessMapping> Covering(IEnumerable<ProcessMapping> mappings, ulong start, long length)
    {
        var covering = new List<ProcessMapping>();
        var next = start;
        var end = start + (ulong)length;
        foreach (var mapping in mappings)
        {
            if (mapping.End <= next)
                continue;
            if (mapping.Start > next)
                return [];
            covering.Add(mapping);
            next = mapping.End;
            if (next >= end)
                return covering;
        }

        return [];
    }

    /// <summary>Whether the mappings are one shared file's bytes without gap or change of order.</summary>
    public static bool IsOneSharedFile(IReadOnlyList<ProcessMapping> covering)
    {
        var first = covering[0];
        return first.Shared && !first.IsAnonymous && covering.All(m =>
            m.Shared && m.Inode == first.Inode && m.Device == first.Device && (ulong)(m.Offset - first.Offset) == m.Start - first.Start);
    }

    private static bool Hex(ReadOnlySpan<char> digits, out ulong value) =>
        ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
}

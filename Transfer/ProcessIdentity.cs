using System.Globalization;

namespace DistMigrate.Transfer;

/// <summary>One QEMU process of one host, told apart from a later one with the same number.</summary>
/// <param name="Host">The host's configured name.</param>
/// <param name="Pid">Its number.</param>
/// <param name="StartTime">When it started, in clock ticks since boot (proc(5), field 22 of stat).</param>
public sealed record ProcessIdentity(string Host, int Pid, long StartTime)
{
    /// <summary>Whether it is one of this host and still there; a zombie counts as gone.</summary>
    public bool IsAlive()
    {
        string stat;
        try
        {
            stat = File.ReadAllText($"/proc/{Pid}/stat");
        }
        catch (IOException)
        {
            return false;
        }

        // The command's name stands in parentheses and may hold anything, blanks and parentheses included.
        var fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields.Length > 19 && fields[0] is not ("Z" or "X")
            && long.TryParse(fields[19], CultureInfo.InvariantCulture, out var start) && start == StartTime;
    }
}

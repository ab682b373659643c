using System.Globalization;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>What the kernel tells of a process.</summary>
internal static class ProcessState
{
    /// <summary>Whether a process, or a thread of one, is there; one that is dead and not yet buried is not.</summary>
    public static bool IsAlive(int pid)
    {
        try
        {
            var stat = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/stat"));
            return stat[(stat.LastIndexOf(')') + 2)..][0] is not ('Z' or 'X');
        }
        catch (IOException)
        {
            return false;
        }
    }
}

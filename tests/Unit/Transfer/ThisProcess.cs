using System.Globalization;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>The process of the test, where a living one is needed.</summary>
internal static class ThisProcess
{
    public static ProcessIdentity Identity(string host) =>
        new(host, Environment.ProcessId, StartTimeOf(Environment.ProcessId, File.ReadAllText("/proc/self/comm").TrimEnd('\n')));

    /// <summary>Field 22 of /proc/PID/stat (proc(5)), for a process whose name is known.</summary>
    public static long StartTimeOf(int pid, string name) =>
        long.Parse(File.ReadAllText($"/proc/{pid}/stat")[$"{pid} ({name}) ".Length..].Split(' ')[19], CultureInfo.InvariantCulture);
}

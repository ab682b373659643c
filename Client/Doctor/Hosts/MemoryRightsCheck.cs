using System.Globalization;

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>Whether the kernel lets this user read the memory of QEMUs.</summary>
internal static class MemoryRightsCheck
{
    private const int SysPtrace = 19;
    private const string ScopeFile = "/proc/sys/kernel/yama/ptrace_scope";
    private const string Why = "a silo reads guest memory from outside QEMU, which takes the right to trace it";

    public static Finding Look() => Judge(
        Environment.IsPrivilegedProcess, EffectiveIn(File.ReadLines("/proc/self/status")),
        File.Exists(ScopeFile) ? int.Parse(File.ReadAllText(ScopeFile), CultureInfo.InvariantCulture) : null);

    /// <param name="isRoot">Whether this is root.</param>
    /// <param name="capabilities">The effective capabilities.</param>
    /// <param name="scope">Yama's ptrace_scope; null on a kernel without Yama.</param>
    internal static Finding Judge(bool isRoot, ulong capabilities, int? scope)
    {
        var canTrace = (capabilities >> SysPtrace & 1) != 0;
        var who = $"{(isRoot ? "Root" : "An ordinary user")}, {(canTrace ? "with" : "without")} CAP_SYS_PTRACE; yama.ptrace_scope is {scope?.ToString(CultureInfo.InvariantCulture) ?? "absent"}.";
        if (scope >= 3)
            return Finding.Failed(who, Why + ", and 3 forbids that to everybody", "set kernel.yama.ptrace_scope to 2 or less, which takes a restart of the host");
        if (canTrace)
            return Finding.Ok($"{who} It may read the memory of every guest.");
        if (scope >= 1)
            return Finding.Failed(
                who, Why, isRoot
                    ? "give it CAP_SYS_PTRACE (of a container: --cap-add SYS_PTRACE)"
                    : "run the silo as root or with CAP_SYS_PTRACE (AmbientCapabilities= in its unit), or set kernel.yama.ptrace_scope to 0");
        return isRoot
            ? Finding.Warning(who, Why + ", and without the capability only root's own guests can be read", "give it CAP_SYS_PTRACE (of a container: --cap-add SYS_PTRACE)")
            : Finding.Ok($"{who} It may read the memory of guests of its own user.");
    }

    /// <summary>The effective capabilities, from the lines of /proc/PID/status.</summary>
    internal static ulong EffectiveIn(IEnumerable<string> status) =>
        ulong.Parse(status.First(line => line.StartsWith("CapEff:", StringComparison.Ordinal))["CapEff:".Length..].Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}

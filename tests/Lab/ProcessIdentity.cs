using System.Diagnostics;
using System.Globalization;

namespace DistMigrate.Tests.Lab;

/// <summary>A process that cannot be confused with a later one of the same number: pid and start time in clock ticks since boot (proc(5), field 22 of stat).</summary>
internal readonly record struct ProcessIdentity(int Pid, long StartTicks)
{
    public static ProcessIdentity Current { get; } = Of(Environment.ProcessId)!.Value;

    public bool IsAlive => Of(Pid) == this;

    public static ProcessIdentity? Of(int pid)
    {
        try
        {
            var stat = File.ReadAllText($"/proc/{pid.ToString(CultureInfo.InvariantCulture)}/stat");

            // The name in parentheses may hold spaces and parentheses; field 3 follows the last one.
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return fields[0] == "Z" ? null : new ProcessIdentity(pid, long.Parse(fields[19], CultureInfo.InvariantCulture));
        }
        catch (IOException)
        {
            return null;
        }
    }

    public static ProcessIdentity? Parse(string text)
    {
        var parts = text.Split(' ');
        return parts.Length == 2
            && int.TryParse(parts[0], CultureInfo.InvariantCulture, out var pid)
            && long.TryParse(parts[1], CultureInfo.InvariantCulture, out var ticks)
                ? new ProcessIdentity(pid, ticks)
                : null;
    }

    public void Kill()
    {
        try
        {
            using var process = Process.GetProcessById(Pid);
            if (IsAlive)
            {
                process.Kill();
            }
        }
        catch (ArgumentException)
        {
            // It has ended by itself.
        }
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Pid} {StartTicks}");
}

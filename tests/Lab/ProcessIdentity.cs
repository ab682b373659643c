using System.Diagnostics;
using System.Globalization;

namespace DistMigrate.Tests.Lab;

/// <summary>A process that cannot be confused with a later one of the same number: pid and start time in clock ticks since boot (proc(5), field 22 of stat).</summary>
/// <param name="Pid">Its pid.</param>
/// <param name="StartTicks">When it was started, in clock ticks since boot.</param>
public readonly record struct ProcessIdentity(int Pid, long StartTicks)
{
    /// <summary>This process.</summary>
    public static ProcessIdentity Current { get; } = Of(Environment.ProcessId)!.Value;

    /// <summary>Whether it runs; one that has ended and was not waited for does not.</summary>
    public bool IsAlive => Of(Pid) == this;

    /// <summary>The process that has a pid now; null when none has.</summary>
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

    /// <summary>Reads what <see cref="ToString"/> wrote; null when it is something else.</summary>
    public static ProcessIdentity? Parse(string text)
    {
        var parts = text.Split(' ');
        return parts.Length == 2
            && int.TryParse(parts[0], CultureInfo.InvariantCulture, out var pid)
            && long.TryParse(parts[1], CultureInfo.InvariantCulture, out var ticks)
                ? new ProcessIdentity(pid, ticks)
                : null;
    }

    /// <summary>SIGKILL; one that has ended takes none.</summary>
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

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Pid} {StartTicks}");
}

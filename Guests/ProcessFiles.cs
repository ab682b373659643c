using System.Globalization;
using DistMigrate.Posix;

namespace DistMigrate.Guests;

/// <summary>What /proc tells of a QEMU process, with its failures in words.</summary>
internal static class ProcessFiles
{
    /// <summary>All mappings, ascending by address.</summary>
    public static List<ProcessMapping> Mappings(int pid) =>
        [.. Read(pid, "maps", path => File.ReadLines(path).Select(ProcessMapping.Parse).ToList())];

    /// <summary>When the process started, in clock ticks since boot (field 22 of proc_pid_stat(5)).</summary>
    public static long StartTime(int pid) => ParseStartTime(Read(pid, "stat", File.ReadAllText));

    /// <summary>The argument list, its program first; the last arguments may be empty ones.</summary>
    public static IReadOnlyList<string> Arguments(int pid)
    {
        var text = Read(pid, "cmdline", File.ReadAllText);
        return text.Length == 0 ? [] : (text.EndsWith('\0') ? text[..^1] : text).Split('\0');
    }

    /// <summary>Whether a process is there and has not ended; a zombie has.</summary>
    public static bool IsAlive(int pid, long startTime)
    {
        string stat;
        try
        {
            stat = Read(pid, "stat", File.ReadAllText);
        }
        catch (GuestException e) when (e.Fault == GuestFault.Exited)
        {
            return false;
        }

        var state = stat[(stat.LastIndexOf(')') + 1)..].TrimStart();
        return ParseStartTime(stat) == startTime && state[0] is not ('Z' or 'X');
    }

    /// <summary>The numbers of all processes that this user can see.</summary>
    public static IEnumerable<int> All() =>
        Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Where(name => int.TryParse(name, out _)).Select(name => int.Parse(name!, null));

    /// <summary>The working folder, or null when it may not be read.</summary>
    public static string? WorkingFolder(int pid)
    {
        try
        {
            return File.ResolveLinkTarget($"/proc/{pid}/cwd", returnFinalTarget: false)?.FullName;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Opens a file below /proc/PID.</summary>
    /// <exception cref="GuestException">Exited, or MemoryUnreadable with what the kernel asks for.</exception>
    public static Descriptor Open(int pid, string name, OpenFlags flags = OpenFlags.ReadOnly)
    {
        try
        {
            return Libc.Open($"/proc/{pid}/{name}", flags);
        }
        catch (ErrnoException e) when (e.Errno is Errno.ENOENT or Errno.ESRCH)
        {
            throw Gone(pid, e);
        }
        catch (ErrnoException e)
        {
            throw Refused(pid, name, e);
        }
    }

    /// <summary>Reads the field behind the process name, which is in parentheses and may hold blanks and parentheses.</summary>
    internal static long ParseStartTime(string stat)
    {
        var close = stat.LastIndexOf(')');
        var fields = close < 0 ? [] : stat[(close + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        const int startTime = 22 - 3;
        return fields.Length > startTime && long.TryParse(fields[startTime], NumberStyles.None, CultureInfo.InvariantCulture, out var ticks)
            ? ticks
            : throw new FormatException($"Not a line of /proc/PID/stat: \"{stat}\".");
    }

    internal static GuestException Gone(int pid, Exception? inner = null) =>
        new(GuestFault.Exited, $"QEMU (pid {pid}) is gone. Look at its log.", inner);

    private static GuestException Refused(int pid, string name, Exception e) => new(GuestFault.MemoryUnreadable,
        $"/proc/{pid}/{name} cannot be read: {e.Message} Run as root or as QEMU's user; with kernel.yama.ptrace_scope=1 or a QEMU that changed its user, CAP_SYS_PTRACE is needed as well.", e);

    private static T Read<T>(int pid, string name, Func<string, T> read)
    {
        try
        {
            return read($"/proc/{pid}/{name}");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Gone(pid, e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw Refused(pid, name, e);
        }
        catch (IOException e)
        {
            // A process that ends while its file is read gives ESRCH, which .NET tells only by number.
            throw Directory.Exists($"/proc/{pid}") ? Refused(pid, name, e) : Gone(pid, e);
        }
    }
}

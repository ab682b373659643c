using System.Diagnostics;
using System.Globalization;
using DistMigrate.Posix;

namespace DistMigrate.Client.Demo;

/// <summary>Ends the silo that the demo started for itself, also one that was still starting.</summary>
internal static class DemoSilo
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);

    /// <summary>Asks it to end, and ends it when it does not within 15 s.</summary>
    /// <param name="stateFolder">The demo's own; no other process has it among its arguments.</param>
    /// <param name="time">The clock.</param>
    public static async Task StopAsync(string stateFolder, TimeProvider time)
    {
        foreach (var pid in Directory.EnumerateDirectories("/proc").Select(PidOf).OfType<int>().Where(pid => IsSilo(pid, stateFolder)).ToList())
            await StopAsync(pid, stateFolder, time);
    }

    private static async Task StopAsync(int pid, string stateFolder, TimeProvider time)
    {
        Libc.Terminate(pid);
        var started = time.GetTimestamp();
        while (IsSilo(pid, stateFolder))
        {
            if (time.GetElapsedTime(started) > Limit)
            {
                using var process = Process.GetProcessById(pid);
                process.Kill();
                return;
            }
            await Task.Delay(Poll, time);
        }
    }

    private static int? PidOf(string folder) =>
        int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out var pid) ? pid : null;

    private static bool IsSilo(int pid, string stateFolder)
    {
        try
        {
            return File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/cmdline"))
                .Split('\0').Contains(stateFolder, StringComparer.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The process is gone, or is another user's.
            return false;
        }
    }
}

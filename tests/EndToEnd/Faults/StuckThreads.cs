using System.Globalization;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Threads of a process that hang in a call to storage: in uninterruptible sleep (state D of proc(5)), and the same sleep a while later.</summary>
internal static class StuckThreads
{
    /// <summary>A disk that is merely busy lets a thread go sooner.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    /// <summary>Waits until a thread hangs.</summary>
    public static Task WaitAsync(int pid)
    {
        var asleepSince = new Dictionary<string, (string Switches, long Since)>();
        return Wait.UntilAsync(
            () =>
            {
                var asleep = Sleeping(pid);
                foreach (var gone in asleepSince.Keys.Except(asleep.Keys).ToList())
                    asleepSince.Remove(gone);
                foreach (var (thread, switches) in asleep)
                {
                    if (!asleepSince.TryGetValue(thread, out var seen) || seen.Switches != switches)
                        asleepSince[thread] = (switches, TimeProvider.System.GetTimestamp());
                }

                return asleepSince.Values.Any(seen => TimeProvider.System.GetElapsedTime(seen.Since) > Patience);
            },
            "a call to storage hangs");
    }

    /// <summary>Waits until no thread is in such a sleep.</summary>
    public static Task WaitForNoneAsync(int pid) => Wait.UntilAsync(() => Sleeping(pid).Count == 0, "no call to storage hangs any longer");

    /// <summary>Threads in uninterruptible sleep, with a count that grows whenever they wake.</summary>
    private static Dictionary<string, string> Sleeping(int pid)
    {
        var found = new Dictionary<string, string>();
        foreach (var task in Directory.EnumerateDirectories(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/task")))
        {
            try
            {
                var status = File.ReadAllLines(Path.Combine(task, "status"));
                if (status.Any(line => line.StartsWith("State:\tD", StringComparison.Ordinal)))
                    found[task] = status.First(line => line.StartsWith("voluntary_ctxt_switches", StringComparison.Ordinal));
            }
            catch (IOException)
            {
                // The thread has ended.
            }
        }

        return found;
    }
}

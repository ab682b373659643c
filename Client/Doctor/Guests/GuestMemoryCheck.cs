using System.Globalization;
using DistMigrate.Client.Values;
using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Guests;

/// <summary>Whether the guest's memory can be read, and how.</summary>
internal static class GuestMemoryCheck
{
    private const string Why = "a save reads guest memory from outside QEMU";

    public static async Task<Finding> LookAsync(GuestScene scene, CancellationToken cancellation)
    {
        var reply = await scene.Monitor.ExecuteAsync("x-query-ramblock", cancellation);
        if (GuestRam.LargestIn(reply.GetProperty("human-readable-text").GetString() ?? "") is not { } ram)
            return Finding.Failed("QEMU tells of no RAMBlock in a way that is known here.", Why, "use QEMU 9 or 10");
        if (scene.Pid == 0)
            return Finding.Failed(
                "The process behind the monitor is in another pid namespace.", Why, "run the silo in the pid namespace of its guests (of a container: that of its host)");
        try
        {
            if (FindMapping(scene.Pid, ram.Address) is not { } mapping)
                return Finding.NotTried(
                    $"Process {scene.Pid} opened the monitor's socket and is not QEMU itself, so that this check does not know whose memory to read; a silo finds it.");
            using var memory = Libc.Open($"/proc/{scene.Pid}/mem", OpenFlags.ReadOnly);
            Libc.PReadExactly(memory, new byte[1], (long)ram.Address);
            return Finding.Ok($"RAMBlock {Printable.Of(ram.Name)} ({ByteSize.Format(ram.Length)}) can be read: {Describe(mapping)}.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Finding.Failed(
                $"The memory of process {scene.Pid} cannot be read: {e.Message.TrimEnd('.')}.", Why,
                "run the silo as root or as QEMU's user, and see memory-rights above; a QEMU that changed its user, or was given capabilities, takes CAP_SYS_PTRACE");
        }
    }

    /// <summary>The words of the line of /proc/PID/maps that covers an address; null when none does.</summary>
    private static string[]? FindMapping(int pid, ulong address)
    {
        foreach (var line in File.ReadLines($"/proc/{pid}/maps"))
        {
            var words = line.Split(' ', 6, StringSplitOptions.RemoveEmptyEntries);
            var ends = words[0].Split('-');
            if (ulong.Parse(ends[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture) <= address
                && address < ulong.Parse(ends[1], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture))
                return words;
        }
        return null;
    }

    private static string Describe(string[] mapping)
    {
        var isShared = mapping[1].EndsWith('s');
        var path = mapping.Length == 6 ? mapping[5].Trim() : "";
        return isShared && path.Length > 0
            ? $"it is the shared file {Printable.Of(path)}, whose holes cost nothing"
            : "it is private to QEMU, so it is read through its process; a shared file (memory-backend-file,share=on) is read faster";
    }
}

using System.Globalization;
using DistMigrate.Client.Values;
using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>Whether the RAM of guests that are moved here has room.</summary>
internal static class MemoryFolderCheck
{
    private const string MemoryLine = "MemTotal:";

    public static Finding Look()
    {
        if (!Directory.Exists(HostFolders.Memory))
            return Finding.Failed(
                $"There is no {HostFolders.Memory}.", "the RAM of launched guests lies in files there", "mount a tmpfs there, or set Launch:MemoryFolder to one");
        return Judge(Libc.Space(HostFolders.Memory), MemoryIn(File.ReadLines("/proc/meminfo")));
    }

    internal static Finding Judge(FileSystemSpace space, long memory)
    {
        var found = $"{HostFolders.Memory} holds {ByteSize.Format(space.TotalBytes)}, of which {ByteSize.Format(space.AvailableBytes)} are free; this host has {ByteSize.Format(memory)} of memory.";
        const string why = "guests that are launched here have their RAM in files there, whatever memory is free";
        return space.TotalBytes < memory / 4
            ? Finding.Warning(found, why, $"mount it larger: mount -o remount,size=90% {HostFolders.Memory} (in a container: --shm-size), or set Launch:MemoryFolder")
            : Finding.Ok(found);
    }

    /// <summary>The host's memory in bytes, from the lines of /proc/meminfo.</summary>
    internal static long MemoryIn(IEnumerable<string> lines) =>
        long.Parse(
            lines.First(line => line.StartsWith(MemoryLine, StringComparison.Ordinal))[MemoryLine.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0],
            NumberStyles.None, CultureInfo.InvariantCulture) * 1024;
}

using System.Globalization;

namespace DistMigrate.Guests;

/// <summary>Tells whether a host has room for a guest's RAM.</summary>
public static class MemoryRoom
{
    /// <summary>Refuses a launch for which memory is missing. What comes to be used meanwhile is not reserved.</summary>
    /// <param name="plan">How the guest would be launched.</param>
    /// <param name="memoryFolder">Where files of its RAM would be made.</param>
    /// <param name="bytes">The guest's RAM.</param>
    /// <exception cref="GuestException">Unsupported, with the bytes needed and available.</exception>
    public static void Ensure(LaunchPlan plan, string memoryFolder, long bytes)
    {
        ArgumentNullException.ThrowIfNull(plan);
        if (plan.UsesHugePages)
        {
            Ensure(bytes, HugePagesFree(File.ReadLines("/proc/meminfo")), "in free huge pages (HugePages_Free of /proc/meminfo)", "Give the host more of them (vm.nr_hugepages)");
            return;
        }

        if (plan.KeptMemoryPaths.FirstOrDefault(path => IsOf(path, "hugetlbfs")) is { } hugePages)
        {
            Ensure(bytes, FreeBytes(hugePages), $"in huge pages at {hugePages}", "Give the host more of them (vm.nr_hugepages)");
            return;
        }

        Ensure(bytes, Available(File.ReadLines("/proc/meminfo")), "(MemAvailable of /proc/meminfo)", "Move or end another guest of this host, or choose another host");
        if (plan.MemoryFiles.Count > 0)
            Ensure(bytes, FreeBytes(memoryFolder), $"free in {memoryFolder}", "Make its file system larger, or choose another folder (Launch:MemoryFolder)");
    }

    /// <summary>MemAvailable in bytes.</summary>
    internal static long Available(IEnumerable<string> memInfo) => Value(memInfo, "MemAvailable") * 1024;

    /// <summary>Free huge pages of the default size in bytes, those that are promised to others left out.</summary>
    internal static long HugePagesFree(IEnumerable<string> memInfo)
    {
        var lines = memInfo.ToList();
        return (Value(lines, "HugePages_Free") - Value(lines, "HugePages_Rsvd")) * Value(lines, "Hugepagesize") * 1024;
    }

    private static long Value(IEnumerable<string> memInfo, string name) =>
        memInfo.Select(line => line.Split([' ', ':'], StringSplitOptions.RemoveEmptyEntries)).FirstOrDefault(words => words.Length > 1 && words[0] == name) is { } found
        && long.TryParse(found[1], NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : 0;

    private static void Ensure(long needed, long available, string where, string what)
    {
        if (needed > available)
            throw new GuestException(GuestFault.Unsupported, $"The guest needs {needed} bytes of memory, and this host has {available} bytes {where}. {what}.");
    }

    private static long FreeBytes(string folder) => new DriveInfo(folder).AvailableFreeSpace;

    private static bool IsOf(string path, string fileSystem) => Directory.Exists(path) && new DriveInfo(path).DriveFormat == fileSystem;
}

using System.Globalization;
using System.Runtime.InteropServices;

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>Whether the kernel has what a silo asks it for.</summary>
internal static class KernelCheck
{
    private static readonly Version Oldest = new(5, 3);

    public static Finding Look() => Judge(File.ReadAllText("/proc/sys/kernel/osrelease").Trim(), RuntimeInformation.OSArchitecture);

    internal static Finding Judge(string release, Architecture architecture)
    {
        var found = $"Linux {release}, {OutputName(architecture)}.";
        if (architecture != Architecture.X64)
            return Finding.Warning(found, "DistMigrate is tested with x86-64 guests on x86-64 hosts only", "use x86-64 hosts, or test well before you rely on it");
        return TryVersion(release) is not { } version
            ? Finding.Warning(found, "whether it is new enough cannot be told from that", $"use Linux {Oldest} or newer")
            : version < Oldest
                ? Finding.Failed(found, "a silo holds the QEMUs that it launched by pidfd_open, which older kernels lack", $"use Linux {Oldest} or newer")
                : Finding.Ok(found);
    }

    private static string OutputName(Architecture architecture) => architecture == Architecture.X64 ? "x86-64" : architecture.ToString().ToLowerInvariant();

    private static Version? TryVersion(string release)
    {
        var numbers = release.Split('.', '-', '+');
        return numbers.Length >= 2
            && int.TryParse(numbers[0], NumberStyles.None, CultureInfo.InvariantCulture, out var major)
            && int.TryParse(numbers[1], NumberStyles.None, CultureInfo.InvariantCulture, out var minor)
            ? new Version(major, minor)
            : null;
    }
}

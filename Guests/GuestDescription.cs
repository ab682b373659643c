using System.Globalization;
using System.Text.Json.Serialization;

namespace DistMigrate.Guests;

/// <summary>
/// How a guest is built: what an image's manifest keeps so that a load can be checked before it starts. QEMU itself accepts
/// another size of RAM, CPU model, number of vCPUs or set of devices without a word (measured with 10.0.2).
/// </summary>
public sealed record GuestDescription
{
    /// <summary>QEMU's version, such as <c>10.0.2</c>.</summary>
    public required string QemuVersion { get; init; }

    /// <summary>The versioned machine, such as <c>pc-q35-10.0</c>.</summary>
    public required string Machine { get; init; }

    /// <summary>How many vCPUs it has.</summary>
    public required int VcpuCount { get; init; }

    /// <summary>The QOM type of its vCPUs, such as <c>qemu64-x86_64-cpu</c>.</summary>
    public required string CpuModel { get; init; }

    /// <summary>Its migratable RAMBlocks, in QEMU's order.</summary>
    public required IReadOnlyList<RamBlockDescription> RamBlocks { get; init; }

    /// <summary>QOM path to type of its devices, those of the machine itself included, vCPUs left out.</summary>
    public required IReadOnlyDictionary<string, string> Devices { get; init; }

    /// <summary>Its disks.</summary>
    public required IReadOnlyList<DiskDescription> Disks { get; init; }

    /// <summary>QEMU's argument list without secrets; empty where it may not be read.</summary>
    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>Whether the argument list is known, and nothing had to be taken out of it.</summary>
    [JsonIgnore]
    public bool HasWholeArguments => Arguments.Count > 0 && !Arguments.Any(argument => argument.Contains(ArgumentRedaction.Mark, StringComparison.Ordinal));

    /// <summary>
    /// What would make a load of <paramref name="saved"/>'s image into <paramref name="target"/> wrong, one sentence for each
    /// difference; empty when they fit. Hosts, processes, arguments and node names are not compared, and a newer QEMU fits.
    /// </summary>
    public static IReadOnlyList<string> Differences(GuestDescription saved, GuestDescription target)
    {
        var found = new List<string>();
        if (VersionOf(target.QemuVersion) < VersionOf(saved.QemuVersion))
            found.Add($"QEMU is {target.QemuVersion}, older than the {saved.QemuVersion} that the image was saved with.");
        Compare("The machine", saved.Machine, target.Machine);
        Compare("The number of vCPUs", saved.VcpuCount.ToString(CultureInfo.InvariantCulture), target.VcpuCount.ToString(CultureInfo.InvariantCulture));
        Compare("The CPU model", saved.CpuModel, target.CpuModel);

        CompareSets("RAMBlock", saved.RamBlocks.ToDictionary(b => b.Name, StringComparer.Ordinal), target.RamBlocks.ToDictionary(b => b.Name, StringComparer.Ordinal),
            b => $"of {b.UsedLength} bytes", (name, a, b) =>
            {
                Compare($"The used length of RAMBlock {name} in bytes", Text(a.UsedLength), Text(b.UsedLength));
                Compare($"The maximum length of RAMBlock {name} in bytes", Text(a.MaxLength), Text(b.MaxLength));
            });
        // Only a device with an id has a name of its own; the others are numbered as they come, so they are counted by type. Those
        // that belong to the machine differ with it.
        CompareSets("Device", Named(saved), Named(target), type => $"of type {type}", (name, a, b) => Compare($"The type of device {name}", a, b));
        var numberedInImage = Numbered(saved, saved.Machine == target.Machine);
        var numberedInTarget = Numbered(target, saved.Machine == target.Machine);
        foreach (var type in numberedInImage.Keys.Union(numberedInTarget.Keys).Order(StringComparer.Ordinal))
            Compare($"The number of {type} devices without an id", Text(numberedInImage.GetValueOrDefault(type)), Text(numberedInTarget.GetValueOrDefault(type)));
        CompareSets("Disk", saved.Disks.ToDictionary(d => d.Device, StringComparer.Ordinal), target.Disks.ToDictionary(d => d.Device, StringComparer.Ordinal),
            d => $"at {d.Path ?? "(no medium)"}", (name, a, b) =>
            {
                Compare($"The path of disk {name}", a.Path ?? "(no medium)", b.Path ?? "(no medium)");
                Compare($"Disk {name}", a.ReadOnly ? "read-only" : "writable", b.ReadOnly ? "read-only" : "writable");
            });
        return found;

        void Compare(string what, string inImage, string inTarget)
        {
            if (inImage != inTarget)
                found.Add($"{what} is {inImage} in the image and {inTarget} in the target.");
        }

        void CompareSets<T>(string kind, IReadOnlyDictionary<string, T> inImage, IReadOnlyDictionary<string, T> inTarget, Func<T, string> describe, Action<string, T, T> compare)
        {
            foreach (var (name, item) in inImage.OrderBy(p => p.Key, StringComparer.Ordinal))
            {
                if (inTarget.TryGetValue(name, out var other))
                    compare(name, item, other);
                else
                    found.Add($"{kind} {name} {describe(item)} is in the image and missing in the target.");
            }

            foreach (var (name, item) in inTarget.OrderBy(p => p.Key, StringComparer.Ordinal).Where(p => !inImage.ContainsKey(p.Key)))
                found.Add($"{kind} {name} {describe(item)} is in the target and not in the image.");
        }
    }

    private static Dictionary<string, string> Named(GuestDescription description) =>
        description.Devices.Where(d => d.Key.StartsWith("/machine/peripheral/", StringComparison.Ordinal)).ToDictionary(StringComparer.Ordinal);

    private static Dictionary<string, int> Numbered(GuestDescription description, bool withMachine) =>
        description.Devices.Where(d => d.Key.StartsWith("/machine/peripheral-anon/", StringComparison.Ordinal) || (withMachine && d.Key.StartsWith("/machine/unattached/", StringComparison.Ordinal)))
            .CountBy(d => d.Value, StringComparer.Ordinal).ToDictionary(StringComparer.Ordinal);

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);

    private static Version VersionOf(string text) => Version.TryParse(text, out var version) ? version : new Version(0, 0);
}

using System.Text.Json;
using System.Text.Json.Nodes;

namespace DistMigrate.Guests;

/// <summary>Asks QEMU how a guest is built.</summary>
internal sealed class GuestInventory(QmpClient qmp, int pid)
{
    private static readonly string[] DeviceFolders = ["/machine/peripheral", "/machine/peripheral-anon", "/machine/unattached"];

    /// <summary>The versioned machine, <c>qom-get /machine type</c> without its suffix.</summary>
    public async Task<string> MachineAsync(CancellationToken cancellationToken)
    {
        const string suffix = "-machine";
        var type = await TextPropertyAsync("/machine", "type", cancellationToken);
        return type.EndsWith(suffix, StringComparison.Ordinal) ? type[..^suffix.Length] : type;
    }

    /// <summary>The migratable RAMBlocks, each with whether a <c>memory-backend-file</c> is behind it.</summary>
    public async Task<IReadOnlyList<RamBlock>> RamBlocksAsync(CancellationToken cancellationToken)
    {
        var reply = await qmp.ExecuteAsync("x-query-ramblock", null, null, cancellationToken);
        var blocks = RamBlock.Parse(reply.RequiredText("human-readable-text"));

        // A backend's RAMBlock is called like the object, or by its whole QOM path with x-use-canonical-path-for-ramblock-id.
        var backends = (await ChildrenAsync("/objects", cancellationToken)).Where(o => o.Type == "memory-backend-file")
            .SelectMany(o => new[] { o.Name, o.Path }).ToHashSet(StringComparer.Ordinal);
        return [.. blocks.Select(b => b with { IsMemoryBackendFile = backends.Contains(b.Name) })];
    }

    /// <summary>QOM path to type of all devices; what is not a device (memory regions, interrupt lines) and vCPUs are left out.</summary>
    public async Task<SortedDictionary<string, string>> DevicesAsync(CancellationToken cancellationToken)
    {
        var devices = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var folder in DeviceFolders)
        {
            foreach (var (path, _, type) in await ChildrenAsync(folder, cancellationToken))
            {
                if (type is not ("memory-region" or "qemu:memory-region" or "irq" or "container") && !type.EndsWith("-cpu", StringComparison.Ordinal))
                    devices[path] = type;
            }
        }

        return devices;
    }

    /// <summary>The disks, with and without medium.</summary>
    public async Task<IReadOnlyList<DiskDescription>> DisksAsync(CancellationToken cancellationToken)
    {
        var disks = new List<DiskDescription>();
        var folder = ProcessFiles.WorkingFolder(pid);
        foreach (var item in (await qmp.ExecuteAsync("query-block", null, null, cancellationToken)).Items())
        {
            var device = item.Text("device") is { Length: > 0 } name ? name : item.Text("qdev");
            if (device is null)
                continue;
            var medium = item.TryGetProperty("inserted", out var inserted) && inserted.ValueKind == JsonValueKind.Object ? inserted : default(JsonElement?);
            disks.Add(new DiskDescription(
                device,
                medium is { } node ? node.Text("node-name") : null,
                medium is { } file && file.Text("file") is { } path ? ArgumentRedaction.Redact(Absolute(path, folder)) : null,
                medium is { } drive && drive.TryGetProperty("ro", out var ro) && ro.ValueKind == JsonValueKind.True));
        }

        return disks;
    }

    /// <summary>All of it.</summary>
    public async Task<GuestDescription> DescribeAsync(IReadOnlyList<RamBlock> ramBlocks, CancellationToken cancellationToken)
    {
        var cpus = await qmp.ExecuteAsync("query-cpus-fast", null, null, cancellationToken);
        var paths = cpus.Items().Select(c => c.Text("qom-path")).ToList();
        var first = paths.FirstOrDefault()
            ?? throw new GuestException(GuestFault.Unsupported, "QEMU lists no vCPU of this guest, so there is nothing to save.");
        return new GuestDescription
        {
            QemuVersion = qmp.QemuVersion,
            Machine = await MachineAsync(cancellationToken),
            VcpuCount = paths.Count,
            CpuModel = await TextPropertyAsync(first, "type", cancellationToken),
            RamBlocks = [.. ramBlocks.Select(b => new RamBlockDescription(b.Name, b.UsedLength, b.MaxLength))],
            Devices = await DevicesAsync(cancellationToken),
            Disks = await DisksAsync(cancellationToken),
            Arguments = ArgumentRedaction.Redact(ProcessFiles.Arguments(pid)),
        };
    }

    /// <summary>A text property of a QOM object.</summary>
    public async Task<string> TextPropertyAsync(string path, string property, CancellationToken cancellationToken) =>
        (await qmp.ExecuteAsync("qom-get", new JsonObject { ["path"] = path, ["property"] = property }, null, cancellationToken)) is { ValueKind: JsonValueKind.String } text
            ? text.GetString()!
            : throw new GuestException(GuestFault.CommandFailed, $"QEMU's property {property} of {path} is not text, as it is in the versions known here.");

    private async Task<IReadOnlyList<(string Path, string Name, string Type)>> ChildrenAsync(string path, CancellationToken cancellationToken)
    {
        JsonElement list;
        try
        {
            list = await qmp.ExecuteAsync("qom-list", new JsonObject { ["path"] = path }, null, cancellationToken);
        }
        catch (GuestException e) when (e.QmpClass == "DeviceNotFound")
        {
            return [];
        }

        const string child = "child<";
        return [.. list.Items()
            .Select(item => (Name: item.Text("name") ?? "", Type: item.Text("type") ?? ""))
            .Where(item => item.Type.StartsWith(child, StringComparison.Ordinal) && item.Type.EndsWith('>'))
            .Select(item => ($"{path}/{item.Name}", item.Name, item.Type[child.Length..^1]))];
    }

    // A plain relative name is relative to QEMU's working folder; anything with a scheme is an address.
    private static string Absolute(string path, string? folder) =>
        folder is null || path.StartsWith('/') || path.Contains(':', StringComparison.Ordinal) ? path : Path.GetFullPath(path, folder);
}

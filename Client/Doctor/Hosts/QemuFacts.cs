using DistMigrate.Client.Qmp;

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>What a QEMU says of its version and of what it can do.</summary>
/// <param name="Name">Its program, or whose it is.</param>
/// <param name="Version">Its version.</param>
/// <param name="Capabilities">The migration capabilities that it has, switched on or not.</param>
/// <param name="Parameters">The migration parameters that it has.</param>
/// <param name="Commands">The commands that its monitor takes.</param>
internal sealed record QemuFacts(
    string Name, Version Version, IReadOnlySet<string> Capabilities, IReadOnlySet<string> Parameters, IReadOnlySet<string> Commands)
{
    private static readonly Version Oldest = new(9, 0);

    /// <summary>What a save or restore asks of it, what then is missing, and whether nothing goes without.</summary>
    private static readonly (string Name, string Without, bool IsNeeded)[] Wanted =
    [
        ("mapped-ram", "it cannot load images", true),
        ("x-query-ramblock", "where guest memory is cannot be found out", true),
        ("xen-save-devices-state", "guests whose RAM is no shared file cannot be saved", false),
        ("x-ignore-shared", "the device state of guests with shared RAM is taken another way", false),
        ("multifd", "it loads images by one thread, so slower", false),
        ("direct-io", "it loads images by the page cache, so 'restore --direct-io' is refused", false),
    ];

    /// <summary>Asks a QEMU.</summary>
    /// <exception cref="CommandException">It refused or hung up.</exception>
    public static async Task<QemuFacts> AskAsync(string name, QmpMonitor monitor, CancellationToken cancellation)
    {
        try
        {
            var version = (await monitor.ExecuteAsync("query-version", cancellation)).GetProperty("qemu");
            var capabilities = await monitor.ExecuteAsync("query-migrate-capabilities", cancellation);
            var parameters = await monitor.ExecuteAsync("query-migrate-parameters", cancellation);
            var commands = await monitor.ExecuteAsync("query-commands", cancellation);
            return new QemuFacts(
                name,
                new Version(version.GetProperty("major").GetInt32(), version.GetProperty("minor").GetInt32(), version.GetProperty("micro").GetInt32()),
                capabilities.EnumerateArray().Select(c => c.GetProperty("capability").GetString()!).ToHashSet(StringComparer.Ordinal),
                parameters.EnumerateObject().Select(p => p.Name).ToHashSet(StringComparer.Ordinal),
                commands.EnumerateArray().Select(c => c.GetProperty("name").GetString()!).ToHashSet(StringComparer.Ordinal));
        }
        catch (Exception e) when (e is KeyNotFoundException or InvalidOperationException or FormatException or ArgumentOutOfRangeException)
        {
            throw new CommandException(ExitCode.Failed, $"QEMU ({name}) answers in a way that is not known here ({e.Message.TrimEnd('.')}).", "use QEMU 9 or newer", e);
        }
    }

    /// <summary>Judges its version.</summary>
    public Finding JudgeVersion() => Version >= Oldest
        ? Finding.Ok($"QEMU {Version} ({Name}).")
        : Finding.Failed(
            $"QEMU {Version} ({Name}).", "mapped-ram images came with QEMU 9.0", "install QEMU 9.0 or newer (on Debian 12 from bookworm-backports)");

    /// <summary>Judges what it can do.</summary>
    public Finding JudgeCapabilities()
    {
        var missing = Wanted.Where(w => !Capabilities.Contains(w.Name) && !Parameters.Contains(w.Name) && !Commands.Contains(w.Name)).ToList();
        if (missing.Count == 0)
            return Finding.Ok($"It has {string.Join(", ", Wanted.Select(w => w.Name))}.");
        var found = $"It lacks {string.Join(", ", missing.Select(w => w.Name))}.";
        var why = string.Join("; ", missing.Select(w => w.Without));
        const string fix = "install a newer QEMU, or one that was built with them";
        return missing.Any(w => w.IsNeeded) ? Finding.Failed(found, why, fix) : Finding.Warning(found, why, fix);
    }
}

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>Folders of this host that a silo of this user has by default. The silo chooses them itself; a test holds the two together.</summary>
internal static class HostFolders
{
    /// <summary>Where the locks lie that all silos of the machine share.</summary>
    public static string Runtime { get; } = Environment.UserName == "root"
        ? "/run/distmigrate"
        : Path.Combine(
            Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } own ? own : Path.GetTempPath(), $"distmigrate-{Environment.UserName}");

    /// <summary>Where monitors of guests lie.</summary>
    public static string Guests { get; } = Path.Combine(Runtime, "guests");

    /// <summary>Where the RAM of launched guests lies.</summary>
    public const string Memory = "/dev/shm";
}

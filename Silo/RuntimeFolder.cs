namespace DistMigrate.Silo;

/// <summary>Where the locks lie that all silos of the machine share.</summary>
internal static class RuntimeFolder
{
    /// <summary><c>/run/distmigrate</c> for root, else the user's own runtime folder, else one below the temporary folder.</summary>
    public static string Path { get; } = Environment.UserName == "root"
        ? "/run/distmigrate"
        : System.IO.Path.Combine(
            Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } own ? own : System.IO.Path.GetTempPath(),
            $"distmigrate-{Environment.UserName}");
}

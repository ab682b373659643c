namespace DistMigrate.Silo;

/// <summary>How guests are launched.</summary>
internal sealed class LaunchSettings
{
    [Setting("QEMU of launched guests: an absolute path, or a name that is looked up on `PATH`", Default = "that of the source or definition")]
    public string Program { get; set; } = "";

    [Setting("where files of the RAM of launched guests are made")]
    public string MemoryFolder { get; set; } = "/dev/shm";

    public void Check(SettingFaults faults)
    {
        if (!Path.IsPathFullyQualified(MemoryFolder))
            faults.Value("Launch:MemoryFolder", MemoryFolder, "it is an absolute path");
        if (Program.Contains('/', StringComparison.Ordinal) && !Path.IsPathFullyQualified(Program))
            faults.Value("Launch:Program", Program, "it is an absolute path, or a name without slashes");
    }
}

namespace DistMigrate.Silo;

/// <summary>Where images may lie.</summary>
internal sealed class StorageSettings
{
    [Setting(
        "folders below which images may lie; images elsewhere are refused; links are followed before the path is judged",
        Default = "home, temporary folder, `/mnt`, `/srv`, `/var/lib/distmigrate`")]
    public string[] Roots { get; set; } = [];

    public static string[] DefaultRoots() =>
    [
        Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), Path.GetTempPath(), "/mnt", "/srv", "/var/lib/distmigrate",
    ];

    public void Check(SettingFaults faults)
    {
        for (var i = 0; i < Roots.Length; i++)
        {
            if (!Path.IsPathFullyQualified(Roots[i]))
                faults.Value($"Storage:Roots:{i}", Roots[i], "a root is an absolute path");
        }
    }
}

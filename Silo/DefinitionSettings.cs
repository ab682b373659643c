using DistMigrate.Grains;

namespace DistMigrate.Silo;

/// <summary>How one guest is launched.</summary>
internal sealed class DefinitionSettings
{
    [Setting(
        "QEMU's argument list for guest NAME, one argument an entry, the program first unless the first begins with a dash; used instead of the " +
        "arguments of its source",
        IsSecret = true)]
    public string[] Arguments { get; set; } = [];

    public void Check(string guest, SettingFaults faults)
    {
        if (!GrainKeys.IsName(guest))
            faults.Add($"Definitions:{guest}", $"Definitions:{guest}:Arguments is of no guest name; {GrainKeys.NameRule}");
        else if (Arguments.Length == 0)
            faults.Add($"Definitions:{guest}:Arguments", $"Definitions:{guest}:Arguments is empty; it is QEMU's argument list, one argument an entry");
    }
}

namespace DistMigrate.Silo;

/// <summary>The settings cannot be used; the message has everything that is wrong with them, a line each.</summary>
internal sealed class SettingsException(IReadOnlyList<string> faults) : InvalidOperationException(Describe(faults))
{
    public IReadOnlyList<string> Faults { get; } = faults;

    private static string Describe(IReadOnlyList<string> faults) =>
        (faults.Count == 1 ? "one setting cannot be used:" : $"{faults.Count} settings cannot be used:") + string.Concat(faults.Select(fault => $"\n  {fault}."));
}

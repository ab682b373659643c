namespace DistMigrate.Tests.Cluster;

/// <summary>What is empty when all is well, or when only faults happened that this test makes, and why. That each of these alerts fires is shown by its rule test.</summary>
internal static class ExpectedEmpty
{
    public static IReadOnlyDictionary<string, string> Alerts { get; } = new Dictionary<string, string>
    {
        ["DistMigrateSplitBrain"] = "no guest runs twice; that its metric is there is asked for by the panel \"Runs on\"",
        ["DistMigrateNeedsAttention"] = "no migration gets to where a person must decide",
        ["DistMigrateWritesSlow"] = "no fsync of this disk takes ten seconds; what it compares is a recording rule, which has data",
        ["DistMigrateStorageLow"] = "images are measured every few minutes, and the save of this test is over by then",
    };
}

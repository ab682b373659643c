using DistMigrate.Tests.Lab;
using DistMigrate.Tests.Lab.Monitoring;

namespace DistMigrate.Tests.Unit.Deploy;

/// <summary>What Prometheus itself says of its files.</summary>
public sealed class PrometheusTests
{
    public static TheoryData<string> TestFiles => [.. RuleFiles.Tests.Select(file => Path.GetFileName(file)!)];

    [RequiresQemuFact(LabNeeds.Prometheus)]
    public async Task The_configuration_and_all_that_it_names_are_valid()
    {
        var (code, output) = await PromTool.RunAsync("check", "config", RuleFiles.Configuration);
        Assert.True(code == 0, output);
        Assert.DoesNotContain("WARNING", output, StringComparison.Ordinal);
        Assert.Contains("2 rule files found", output, StringComparison.Ordinal);
    }

    [RequiresQemuTheory(LabNeeds.Prometheus)]
    [MemberData(nameof(TestFiles))]
    public async Task Rules_give_what_their_tests_expect(string file)
    {
        var (code, output) = await PromTool.RunAsync("test", "rules", RuleFiles.Tests.Single(path => Path.GetFileName(path) == file));
        Assert.True(code == 0, output);
    }

    [RequiresQemuFact(LabNeeds.Prometheus)]
    public async Task An_alert_with_another_limit_fails_its_test()
    {
        var folder = Directory.CreateTempSubdirectory("dm-rules-").FullName;
        try
        {
            Directory.CreateDirectory(Path.Combine(folder, "rules"));
            Directory.CreateDirectory(Path.Combine(folder, "tests"));
            var tests = Path.Combine(folder, "tests", "migrations.yml");
            File.Copy(RuleFiles.Tests.Single(path => Path.GetFileName(path) == "migrations.yml"), tests);
            File.Copy(RuleFiles.Recording, Path.Combine(folder, "rules", "recording.yml"));
            var alerts = await File.ReadAllTextAsync(RuleFiles.Alerts);
            const string Limit = "guest:distmigrate_dirty_to_transfer:ratio > 1\n";
            Assert.Contains(Limit, alerts, StringComparison.Ordinal);
            await File.WriteAllTextAsync(Path.Combine(folder, "rules", "alerts.yml"), alerts.Replace(Limit, "guest:distmigrate_dirty_to_transfer:ratio > 0.5\n", StringComparison.Ordinal));

            var (code, output) = await PromTool.RunAsync("test", "rules", tests);
            Assert.Equal(1, code);
            Assert.Contains("alertname: DistMigrateNotConverging", output, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}

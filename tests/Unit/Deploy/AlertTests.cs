using System.Text.RegularExpressions;

namespace DistMigrate.Tests.Unit.Deploy;

public sealed partial class AlertTests
{
    private const string Runbooks = "https://github.com/distmigrate/distmigrate/blob/main/docs/runbooks/";

    private static readonly string[] Severities = ["critical", "warning", "info"];
    private static readonly Dictionary<string, string> Alerts = Alert().Matches(File.ReadAllText(RuleFiles.Alerts)).ToDictionary(match => match.Groups[1].Value, match => match.Value);

    public static TheoryData<string> Names => [.. Alerts.Keys];

    private static string RunbookFolder { get; } = Repository.Path("docs/runbooks");

    [Theory]
    [MemberData(nameof(Names))]
    public void An_alert_says_how_grave_it_is_and_what_to_do(string name)
    {
        var alert = Alerts[name];
        Assert.Contains(Severities, severity => alert.Contains($"severity: {severity}\n", StringComparison.Ordinal));
        Assert.Contains("for: ", alert, StringComparison.Ordinal);
        Assert.Matches(@"\n +summary: \S", alert);
        Assert.Matches(@"\n +description: \S", alert);
        Assert.Contains($"runbook_url: {Runbooks}{name}.md\n", alert, StringComparison.Ordinal);
        var runbook = File.ReadAllText(Path.Combine(RunbookFolder, name + ".md"));
        Assert.StartsWith($"# {name}\n", runbook, StringComparison.Ordinal);
        Assert.All(["## What it means", "## What to look at", "## What to do"], part => Assert.Contains($"\n{part}\n", runbook, StringComparison.Ordinal));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void An_alert_is_tested_to_fire_and_to_stay_silent(string name)
    {
        var expected = RuleFiles.Tests.SelectMany(file => Expectation().Matches(File.ReadAllText(file)))
            .Where(match => match.Groups[1].Value == name).Select(match => match.Groups[2].Value).ToList();
        Assert.Contains(" []", expected);
        Assert.Contains(expected, alerts => alerts != " []");
    }

    [Fact]
    public void A_runbook_belongs_to_an_alert() =>
        Assert.Equal(Alerts.Keys.Append("README").Order(), Directory.EnumerateFiles(RunbookFolder).Select(Path.GetFileNameWithoutExtension).Order());

    [Theory]
    [MemberData(nameof(Names))]
    public void An_alert_is_in_the_list_of_runbooks_as_it_is(string name)
    {
        var severity = Severity().Match(Alerts[name]).Groups[1].Value;
        Assert.Contains($"| [{name}]({name}.md) | {severity} |", File.ReadAllText(Path.Combine(RunbookFolder, "README.md")), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_metric_that_rules_tests_and_runbooks_name_is_there()
    {
        var files = RuleFiles.Tests.Concat([RuleFiles.Alerts, RuleFiles.Recording]).Concat(Directory.EnumerateFiles(RunbookFolder));
        var unknown = from file in files
                      from match in Metric().Matches(File.ReadAllText(file))
                      where !KnownMetrics.Has(match.Value)
                      select $"{Path.GetFileName(file)}: {match.Value}";
        Assert.Equal([], unknown);
        Assert.True(KnownMetrics.Names.Count > 30, "The catalog has hardly any metric.");
        Assert.False(KnownMetrics.Has("distmigrate_ramblock_pages_total"));
    }

    [GeneratedRegex(@"^      - alert: (\w+)\n(?:(?:        .*)?\n)+", RegexOptions.Multiline)]
    private static partial Regex Alert();

    [GeneratedRegex(@"^ +severity: (\w+)$", RegexOptions.Multiline)]
    private static partial Regex Severity();

    [GeneratedRegex(@"^        alertname: (\w+)\n        exp_alerts:(.*)$", RegexOptions.Multiline)]
    private static partial Regex Expectation();

    // Names with colons are records: what stands before and after the metric in them is not one.
    [GeneratedRegex(@"(?<![\w:-])(distmigrate_\w+|guest:[\w:]+|host:[\w:]+)(?!:)\b")]
    private static partial Regex Metric();
}

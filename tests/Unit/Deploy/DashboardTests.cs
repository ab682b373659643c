using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using DistMigrate.Tests.Lab.Monitoring;

namespace DistMigrate.Tests.Unit.Deploy;

public sealed class DashboardTests
{
    private static readonly IReadOnlyList<Dashboard> All = Dashboard.ReadAll();
    private static readonly JsonSerializerOptions Format = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static TheoryData<string> Names => [.. All.Select(dashboard => dashboard.Name)];

    [Fact]
    public void There_are_those_that_the_documentation_names() =>
        Assert.Equal(["blocks", "fleet", "hosts", "migration", "storage"], All.Select(dashboard => dashboard.Name));

    [Theory]
    [MemberData(nameof(Names))]
    public void A_dashboard_keeps_every_rule(string name) => Assert.Equal([], DashboardLint.Find(Get(name), All));

    [Theory]
    [MemberData(nameof(Names))]
    public void A_dashboard_is_written_as_the_others_are(string name) =>
        Assert.Equal(Get(name).Json.ToJsonString(Format) + "\n", File.ReadAllText(Path.Combine(Dashboard.Folder, name + ".json")));

    [Fact]
    public void A_metric_that_has_another_name_now_is_found() =>
        AssertFault("there is no metric distmigrate_migrations_in_stage", text: json => json.Replace("distmigrate_migrations_in_phase", "distmigrate_migrations_in_stage", StringComparison.Ordinal));

    [Fact]
    public void A_histogram_without_its_ending_is_not_mistaken_for_another_metric() =>
        AssertFault("there is no metric distmigrate_migrations_in_phase_buckets", text: json => json.Replace("distmigrate_migrations_in_phase", "distmigrate_migrations_in_phase_buckets", StringComparison.Ordinal));

    [Fact]
    public void A_query_that_reads_nothing_is_found() => AssertFault("a query reads nothing", json => FirstTarget(json)["expr"] = "vector(1)");

    [Fact]
    public void A_query_with_a_bracket_too_many_is_found() => AssertFault("brackets do not match", json => FirstTarget(json)["expr"] = $"sum({FirstTarget(json)["expr"]}");

    [Fact]
    public void A_query_of_a_metric_of_nobody_is_found() => AssertFault("there is no metric node_load1", json => FirstTarget(json)["expr"] = "node_load1{job=~\"$job\"}");

    [Fact]
    public void A_range_that_does_not_follow_the_scrape_interval_is_found() =>
        AssertFault("[5m] is neither", text: json => json.Replace("$__rate_interval", "5m", StringComparison.Ordinal));

    [Fact]
    public void A_query_that_ignores_the_chosen_job_is_found() =>
        AssertFault("is not asked for by job=~", text: json => json.Replace("{job=~\\\"$job\\\"}", "", StringComparison.Ordinal));

    [Fact]
    public void A_query_that_takes_one_value_of_several_is_found() =>
        AssertFault("several values of $job do not fit", text: json => json.Replace("job=~\\\"$job\\\"", "job=\\\"$job\\\"", StringComparison.Ordinal));

    [Fact]
    public void A_query_of_a_variable_that_is_not_there_is_found() => AssertFault("there is no variable guest", json => FirstTarget(json)["expr"] = "up{job=~\"$job\", guest=~\"$guest\"}");

    [Fact]
    public void A_missing_unit_is_found() => AssertFault("its values have no unit", json => First(json, "timeseries")["fieldConfig"]!["defaults"]!.AsObject().Remove("unit"));

    [Fact]
    public void A_missing_unit_of_a_heat_map_is_found() => AssertFault("its axis has no unit", json => First(json, "heatmap")["options"]!["yAxis"]!.AsObject().Remove("unit"));

    [Fact]
    public void A_missing_description_is_found() => AssertFault("no title or no description", json => First(json, "table").Remove("description"));

    [Fact]
    public void A_data_source_that_cannot_be_chosen_is_found() =>
        AssertFault("does not ask the data source that is chosen", json => FirstTarget(json)["datasource"]!["uid"] = "distmigrate");

    [Fact]
    public void Two_panels_of_one_id_are_found() => AssertFault("another panel has its id", json => First(json, "table")["id"] = 1);

    [Fact]
    public void Two_panels_at_one_place_are_found() => AssertFault("it lies over", json => First(json, "table")["gridPos"]!["y"] = 0);

    [Fact]
    public void A_panel_beside_the_columns_is_found() => AssertFault("it is not within the columns", json => First(json, "table")["gridPos"]!["x"] = 1);

    [Fact]
    public void Another_uid_is_found() => AssertFault("so links would break", json => json["uid"] = "a8Zk3");

    [Fact]
    public void An_id_of_a_database_is_found() => AssertFault("its id is not null", json => json["id"] = 7);

    [Fact]
    public void A_dashboard_that_can_be_edited_is_found() => AssertFault("it is editable", json => json["editable"] = true);

    [Fact]
    public void A_variable_that_is_looked_up_once_is_found() => AssertFault("not looked up again", json => Variable(json, "job")["refresh"] = 1);

    [Fact]
    public void A_variable_that_nothing_uses_is_found() => AssertFault("no panel uses it", json => Variable(json, "job")["name"] = "jobs");

    [Fact]
    public void A_link_to_a_dashboard_that_is_not_there_is_found() =>
        AssertFault("a link goes to distmigrate-one", text: json => json.Replace("/d/distmigrate-migration", "/d/distmigrate-one", StringComparison.Ordinal));

    [Fact]
    public void A_link_that_sets_a_variable_that_is_not_there_is_found() =>
        AssertFault("a link sets vm", text: json => json.Replace("var-guest", "var-vm", StringComparison.Ordinal));

    [Fact]
    public void A_column_that_no_query_gives_is_found() =>
        AssertFault("there is no column Speed", json => First(json, "table")["fieldConfig"]!["overrides"]![1]!["matcher"]!["options"] = "Speed");

    private static Dashboard Get(string name) => All.Single(dashboard => dashboard.Name == name);

    /// <summary>The fleet dashboard with a fault in it.</summary>
    private static void AssertFault(string fault, Action<JsonObject>? change = null, Func<string, string>? text = null)
    {
        var written = File.ReadAllText(Path.Combine(Dashboard.Folder, "fleet.json"));
        var broken = Dashboard.Parse("fleet", text?.Invoke(written) ?? written);
        change?.Invoke(broken.Json);
        Assert.Contains(DashboardLint.Find(broken, All), found => found.Contains(fault, StringComparison.Ordinal));
    }

    private static JsonObject First(JsonObject json, string type) => json["panels"]!.AsArray().First(panel => (string?)panel!["type"] == type)!.AsObject();

    private static JsonNode FirstTarget(JsonObject json) => First(json, "timeseries")["targets"]![0]!;

    private static JsonNode Variable(JsonObject json, string name) => json["templating"]!["list"]!.AsArray().Single(variable => (string?)variable!["name"] == name)!;
}

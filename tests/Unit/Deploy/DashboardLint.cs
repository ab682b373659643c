using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using DistMigrate.Tests.Lab.Monitoring;

namespace DistMigrate.Tests.Unit.Deploy;

/// <summary>What every dashboard of ours must have. Each rule that is broken is one line.</summary>
internal sealed partial class DashboardLint
{
    private const int Columns = 24;
    private const int OnTimeRangeChange = 2;

    private readonly List<string> _faults = [];
    private readonly Dashboard _dashboard;
    private readonly IReadOnlyList<Dashboard> _all;

    private DashboardLint(Dashboard dashboard, IReadOnlyList<Dashboard> all)
    {
        _dashboard = dashboard;
        _all = all;
    }

    /// <summary>What is wrong with a dashboard.</summary>
    /// <param name="dashboard">The dashboard.</param>
    /// <param name="all">All that there are, for links between them.</param>
    public static IReadOnlyList<string> Find(Dashboard dashboard, IReadOnlyList<Dashboard> all)
    {
        var lint = new DashboardLint(dashboard, all);
        lint.CheckDashboard();
        lint.CheckVariables();
        lint.CheckPlaces();
        foreach (var panel in dashboard.Panels.Where(panel => (string?)panel["type"] != "row"))
            lint.CheckPanel(panel);
        foreach (var annotation in dashboard.Annotations)
            lint.CheckAnnotation(annotation);
        lint.CheckLinks(dashboard.Json);
        return lint._faults;
    }

    private void CheckDashboard()
    {
        var json = _dashboard.Json;
        Require(json.TryGetPropertyValue("id", out var id) && id is null, "its id is not null: Grafana would take it for that of its database");
        Require(_dashboard.Uid == "distmigrate-" + _dashboard.Name, "its uid is not distmigrate- and its file's name, so links would break");
        Require(HasText(json, "title") && HasText(json, "description"), "it has no title or no description");
        Require((bool?)json["editable"] == false, "it is editable in Grafana, where what is changed is lost");
        Require(json["tags"]?.AsArray().Any(tag => (string?)tag == "distmigrate") == true, "it has no tag distmigrate, by which the others link to it");
        Require((int?)json["schemaVersion"] is >= 39 and <= 41, "its schemaVersion is not one of Grafana 11 or 12");
        Require(HasText(json, "refresh"), "it does not refresh");
    }

    private void CheckVariables()
    {
        var first = _dashboard.Variables.FirstOrDefault();
        Require((string?)first?["name"] == "datasource" && (string?)first["type"] == "datasource" && (string?)first["query"] == "prometheus", "its first variable is not the data source");
        Require(_dashboard.VariableNames.Contains("job"), "it has no variable job");
        var everything = string.Join('\n', _dashboard.Panels.Select(panel => panel.ToJsonString()));
        foreach (var variable in _dashboard.Variables)
        {
            var name = (string)variable["name"]!;
            var where = $"variable {name}: ";
            Require(HasText(variable, "label") && HasText(variable, "description"), where + "it has no label or no description");
            Require(Regex.IsMatch(everything, $@"\$({name}\b|\{{{name}\}})"), where + "no panel uses it");
            if (name == "datasource")
                continue;
            CheckSource(where, variable);
            Require((int?)variable["refresh"] == OnTimeRangeChange, where + "it is not looked up again when the time range changes");
            if ((bool?)variable["multi"] == true)
                Require((bool?)variable["includeAll"] == true && (string?)variable["allValue"] == ".+", where + "several can be chosen, and not all by .+");
            var expression = LabelValues().Match((string?)variable["query"]?["query"] ?? "");
            Require(expression.Success, where + "it is not looked up by label_values");
            CheckMetrics(where, expression.Groups[1].Value);
            if (name != "job")
                Require(expression.Groups[1].Value.Contains("job=~\"$job\"", StringComparison.Ordinal), where + "it is not looked up in the chosen jobs");
        }
    }

    private void CheckPlaces()
    {
        var ids = new HashSet<int>();
        var taken = new Dictionary<(int X, int Y), string>();
        foreach (var panel in _dashboard.Panels)
        {
            var where = $"panel \"{(string?)panel["title"]}\": ";
            Require(ids.Add((int)panel["id"]!), where + "another panel has its id");
            var place = panel["gridPos"]!;
            var (x, y, w, h) = ((int)place["x"]!, (int)place["y"]!, (int)place["w"]!, (int)place["h"]!);
            Require(x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= Columns, where + "it is not within the columns");
            var other = Cells().Select(cell => taken.GetValueOrDefault(cell)).FirstOrDefault(name => name is not null);
            Require(other is null, where + $"it lies over \"{other}\"");
            foreach (var cell in Cells())
                taken[cell] = (string?)panel["title"] ?? "";

            IEnumerable<(int X, int Y)> Cells() => from column in Enumerable.Range(x, w) from row in Enumerable.Range(y, h) select (column, row);
        }
    }

    private void CheckPanel(JsonObject panel)
    {
        var where = $"panel \"{(string?)panel["title"]}\": ";
        Require(HasText(panel, "title") && HasText(panel, "description"), where + "it has no title or no description");
        CheckSource(where, panel);
        CheckUnit(where, panel);
        var targets = panel["targets"]!.AsArray();
        Require(targets.Count > 0 && targets.Select(target => (string?)target!["refId"]).Distinct().Count() == targets.Count, where + "it has no queries, or two of one refId");
        foreach (var target in targets)
        {
            CheckSource(where, target!.AsObject());
            CheckQuery(where, (string?)target["expr"] ?? "", _dashboard.VariableNames.Intersect(["job", "host", "instance"]));
        }

        if ((string?)panel["type"] == "table")
            CheckColumns(where, panel);
    }

    private void CheckAnnotation(JsonObject annotation)
    {
        var where = $"annotation \"{(string?)annotation["name"]}\": ";
        CheckSource(where, annotation);
        CheckQuery(where, (string?)annotation["expr"] ?? "", ["job"]);
    }

    private void CheckQuery(string where, string text, IEnumerable<string> matched)
    {
        CheckMetrics(where, text);
        var expression = new PromExpression(text);
        Require(expression.Selectors.Count > 0, where + $"a query reads nothing: {text}");
        Require(text.Count("([{".Contains) == text.Count(")]}".Contains), where + $"a query's brackets do not match: {text}");
        foreach (var selector in expression.Selectors)
        {
            foreach (var label in matched.Where(label => !selector.Matchers.Contains($"{label}=~\"${label}\"", StringComparison.Ordinal)))
                _faults.Add(where + $"{selector.Metric} is not asked for by {label}=~\"${label}\"");
        }

        foreach (var range in expression.Ranges.Where(range => range is not ("$__rate_interval" or "$__range")))
            _faults.Add(where + $"[{range}] is neither [$__rate_interval] nor [$__range]");
        foreach (var match in Used().Matches(text).Where(match => !match.Groups[1].Value.StartsWith("__", StringComparison.Ordinal)))
            Require(_dashboard.VariableNames.Contains(match.Groups[1].Value), where + $"there is no variable {match.Groups[1].Value}");
        foreach (Match match in Exact().Matches(text))
            _faults.Add(where + $"several values of ${match.Groups[1].Value} do not fit {match.Value}");
    }

    private void CheckMetrics(string where, string text)
    {
        foreach (var metric in new PromExpression(text).Selectors.Select(selector => selector.Metric).Where(metric => !KnownMetrics.Has(metric)))
            _faults.Add(where + $"there is no metric {metric}");
    }

    private void CheckUnit(string where, JsonObject panel)
    {
        switch ((string?)panel["type"])
        {
            case "state-timeline":
                break;
            case "heatmap":
                Require(panel["options"]?["yAxis"] is JsonObject axis && HasText(axis, "unit"), where + "its axis has no unit");
                break;
            default:
                Require(panel["fieldConfig"]?["defaults"] is JsonObject defaults && HasText(defaults, "unit"), where + "its values have no unit");
                break;
        }
    }

    /// <summary>Columns that are named anew or treated are there: the n-th query gives Value #N, if it is not the only one.</summary>
    private void CheckColumns(string where, JsonObject panel)
    {
        var organize = panel["transformations"]!.AsArray().Single(step => (string?)step!["id"] == "organize")!["options"]!;
        var names = organize["renameByName"]!.AsObject().ToDictionary(pair => pair.Key, pair => (string)pair.Value!);
        var hidden = organize["excludeByName"]!.AsObject().Select(pair => pair.Key).ToHashSet();
        var targets = panel["targets"]!.AsArray();
        foreach (var value in targets.Select(target => targets.Count == 1 ? "Value" : $"Value #{(string?)target!["refId"]}"))
            Require(names.ContainsKey(value) || hidden.Contains(value), where + $"the column {value} is neither named nor hidden");
        foreach (var column in names.Keys.Where(column => !column.StartsWith("Value", StringComparison.Ordinal)))
            Require(targets.Any(target => Regex.IsMatch((string)target!["expr"]!, $@"\bby \([^)]*\b{column}\b")), where + $"no query has the label {column}");
        foreach (var name in panel["fieldConfig"]!["overrides"]!.AsArray().Select(item => (string)item!["matcher"]!["options"]!))
            Require(names.ContainsValue(name), where + $"there is no column {name}");
    }

    private void CheckSource(string where, JsonObject user) =>
        Require((string?)user["datasource"]?["uid"] == "${datasource}" && (string?)user["datasource"]?["type"] == "prometheus", where + "it does not ask the data source that is chosen");

    private void CheckLinks(JsonNode? node)
    {
        switch (node)
        {
            case JsonValue value when value.GetValueKind() == System.Text.Json.JsonValueKind.String && Link().Match((string)value!) is { Success: true } link:
                var target = _all.FirstOrDefault(dashboard => dashboard.Uid == link.Groups[1].Value);
                Require(target is not null, $"a link goes to {link.Groups[1].Value}, which is not there");
                foreach (var name in LinkVariable().Matches((string)value!).Select(match => match.Groups[1].Value))
                    Require(target is null || target.VariableNames.Contains(name), $"a link sets {name}, which {target?.Name} does not have");
                break;
            case JsonObject item:
                foreach (var (_, child) in item)
                    CheckLinks(child);
                break;
            case JsonArray list:
                foreach (var child in list)
                    CheckLinks(child);
                break;
        }
    }

    private static bool HasText(JsonObject json, string name) => json[name] is JsonValue value && value.TryGetValue<string>(out var text) && text.Length > 0;

    private void Require(bool holds, string fault)
    {
        if (!holds)
            _faults.Add(fault);
    }

    [GeneratedRegex(@"^label_values\((.+), (\w+)\)$")]
    private static partial Regex LabelValues();

    [GeneratedRegex(@"\$(\w+)")]
    private static partial Regex Used();

    [GeneratedRegex("""
        \w+!?="\$(\w+)"
        """)]
    private static partial Regex Exact();

    [GeneratedRegex(@"^/d/([\w-]+)")]
    private static partial Regex Link();

    [GeneratedRegex(@"[?&]var-(\w+)=")]
    private static partial Regex LinkVariable();
}

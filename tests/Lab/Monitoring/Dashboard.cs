using System.Text.Json.Nodes;

namespace DistMigrate.Tests.Lab.Monitoring;

/// <summary>A dashboard of <c>deploy/grafana</c>.</summary>
/// <param name="Name">Its file's name, without the ending.</param>
/// <param name="Json">What is in the file.</param>
public sealed record Dashboard(string Name, JsonObject Json)
{
    /// <summary>Where they are.</summary>
    public static string Folder => Repository.Path("deploy/grafana/dashboards");

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Dashboard> ReadAll() =>
        [.. Directory.EnumerateFiles(Folder, "*.json").Order(StringComparer.Ordinal).Select(file => Parse(Path.GetFileNameWithoutExtension(file), File.ReadAllText(file)))];

    /// <summary>One that is in a file.</summary>
    public static Dashboard Parse(string name, string text) => new(name, JsonNode.Parse(text)!.AsObject());

    /// <summary>How links name it.</summary>
    public string? Uid => (string?)Json["uid"];

    /// <summary>Everything on it; a row has nothing of its own.</summary>
    public IEnumerable<JsonObject> Panels => Json["panels"]!.AsArray().Select(panel => panel!.AsObject());

    /// <summary>What the person in front of it chooses.</summary>
    public IEnumerable<JsonObject> Variables => Json["templating"]!["list"]!.AsArray().Select(variable => variable!.AsObject());

    /// <summary>What is marked in every panel.</summary>
    public IEnumerable<JsonObject> Annotations => Json["annotations"]!["list"]!.AsArray().Select(annotation => annotation!.AsObject());

    /// <summary>The names of <see cref="Variables"/>.</summary>
    public IReadOnlySet<string> VariableNames => Variables.Select(variable => (string)variable["name"]!).ToHashSet();

    /// <summary>Where the values of variables come from: <c>label_values(SELECTOR, LABEL)</c>.</summary>
    public IEnumerable<(string Variable, string Query)> Lookups =>
        from variable in Variables
        where (string?)variable["type"] == "query"
        select ((string)variable["name"]!, (string?)variable["query"]?["query"] ?? "");

    /// <summary>What it asks Prometheus for.</summary>
    public IEnumerable<DashboardQuery> Queries =>
    [
        .. from panel in Panels
           where (string?)panel["type"] != "row"
           from target in panel["targets"]!.AsArray()
           select new DashboardQuery(
               Name, $"panel \"{(string?)panel["title"]}\" {(string?)target["refId"]}", (string?)target["expr"] ?? "", (bool?)target["instant"] ?? false),
        .. from annotation in Annotations
           select new DashboardQuery(Name, $"annotation \"{(string?)annotation["name"]}\"", (string?)annotation["expr"] ?? "", IsInstant: false),
    ];
}

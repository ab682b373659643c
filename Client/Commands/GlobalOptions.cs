using System.CommandLine;
using DistMigrate.Client.Connection;
using DistMigrate.Client.Output;

namespace DistMigrate.Client.Commands;

/// <summary>Options that every command takes.</summary>
internal static class GlobalOptions
{
    public static Option<string> Output { get; } = MakeOutput();

    public static Option<bool> NoColor { get; } = new("--no-color")
    {
        Description = "No colours; NO_COLOR does the same, CLICOLOR_FORCE asks for them in files and pipes too",
        Recursive = true,
    };

    public static Option<string?> State { get; } = new("--state")
    {
        Description = "State folder of the background silo [default: DISTMIGRATE_STATE, else $XDG_STATE_HOME/distmigrate, else ~/.local/state/distmigrate]",
        HelpName = "FOLDER",
        Recursive = true,
    };

    public static Option<string?> Gateways { get; } = new("--gateways")
    {
        Description = "Gateways of a cluster; no silo is started then [default: DISTMIGRATE_GATEWAYS, else the configuration file]",
        HelpName = "IP:PORT,...",
        Recursive = true,
    };

    public static Option<string?> Cluster { get; } = new("--cluster")
    {
        Description = "The cluster: a configuration file, or how to reach its Redis, which others can see here [default: DISTMIGRATE_CLUSTER, else the configuration file]",
        HelpName = "FILE|CONNECTION",
        Recursive = true,
    };

    public static Option<string?> ClusterId { get; } = new("--cluster-id")
    {
        Description = "Id of that cluster; other users of the machine can see it here, so prefer DISTMIGRATE_CLUSTER_ID or the configuration file",
        HelpName = "ID",
        Recursive = true,
    };

    public static void AddTo(RootCommand root)
    {
        root.Add(Output);
        root.Add(NoColor);
        root.Add(State);
        root.Add(Gateways);
        root.Add(Cluster);
        root.Add(ClusterId);
    }

    public static Terminal TerminalOf(ParseResult parsed, Surroundings surroundings) => new(
        surroundings, parsed.GetValue(Output) == "json" ? OutputFormat.Json : OutputFormat.Table, parsed.GetValue(NoColor));

    public static SettingsLayer SettingsOf(ParseResult parsed, Surroundings surroundings)
    {
        var said = new SettingsLayer(
            parsed.GetValue(Gateways) is { } gateways ? SettingsLayer.SplitGateways(gateways) : null,
            parsed.GetValue(ClusterId),
            Host: null,
            parsed.GetValue(State));
        return parsed.GetValue(Cluster) is { } cluster ? SettingsLayer.OfCluster(surroundings, cluster).Under(said) : said;
    }

    private static Option<string> MakeOutput()
    {
        var option = new Option<string>("--output", "-o")
        {
            Description = "How data is written to standard output",
            DefaultValueFactory = _ => "table",
            Recursive = true,
        };
        option.AcceptOnlyFromAmong("table", "json");
        return option;
    }
}

using System.Diagnostics.CodeAnalysis;

namespace DistMigrate.Silo;

/// <summary>The command line of <c>distmigrate-silo</c>; everything else comes from configuration.</summary>
/// <param name="StateFolder">Folder on the host's local disk for grain state, stop records, the lock and the endpoint file.</param>
/// <param name="Background">Whether the process leaves the terminal and ends after ten idle minutes.</param>
/// <param name="ConfigFile">A JSON configuration file, or null.</param>
/// <param name="Task">What is asked of it.</param>
internal sealed record SiloArguments(string StateFolder, bool Background, string? ConfigFile, SiloTask Task = SiloTask.Run)
{
    public const string Help = """
        distmigrate-silo [--state FOLDER] [--config FILE] [--background]
        distmigrate-silo --check-settings [--config FILE]
        distmigrate-silo --describe-settings | --describe-metrics

          --state FOLDER   grain state, stop records, lock and endpoint file
                           (default: $DISTMIGRATE_STATE, else $XDG_STATE_HOME/distmigrate, else ~/.local/state/distmigrate)
          --config FILE    JSON configuration (default: /etc/distmigrate/silo.json where it exists)
          --background     leave the terminal, log to FOLDER/silo.log, end after ten idle minutes

          --check-settings      say what is wrong with the configuration and the environment, and end: 0 nothing, 2 something
          --describe-settings   print every setting with its default and meaning, as a table of Markdown
          --describe-metrics    print every metric with its labels and meaning, as tables of Markdown

        Every setting can also be given by the environment, such as DISTMIGRATE_Storage__Roots__0=/srv/images.
        """;

    private const string DefaultConfigFile = "/etc/distmigrate/silo.json";

    public static bool TryParse(string[] args, [NotNullWhen(true)] out SiloArguments? arguments, out string error)
    {
        arguments = null;
        error = "";
        var parsed = new SiloArguments(DefaultStateFolder(), Background: false, File.Exists(DefaultConfigFile) ? DefaultConfigFile : null);
        for (var i = 0; i < args.Length; i++)
        {
            switch (args[i])
            {
                case "--background":
                    parsed = parsed with { Background = true };
                    break;
                case "--check-settings":
                    parsed = parsed with { Task = SiloTask.CheckSettings };
                    break;
                case "--describe-settings":
                    parsed = parsed with { Task = SiloTask.DescribeSettings };
                    break;
                case "--describe-metrics":
                    parsed = parsed with { Task = SiloTask.DescribeMetrics };
                    break;
                case "--state" when i + 1 < args.Length:
                    parsed = parsed with { StateFolder = Path.GetFullPath(args[++i]) };
                    break;
                case "--config" when i + 1 < args.Length:
                    parsed = parsed with { ConfigFile = Path.GetFullPath(args[++i]) };
                    break;
                case "--help" or "-h":
                    error = Help;
                    return false;
                default:
                    error = $"error: '{args[i]}' is not understood.\n\n{Help}";
                    return false;
            }
        }

        arguments = parsed;
        return true;
    }

    private static string DefaultStateFolder()
    {
        if (Environment.GetEnvironmentVariable("DISTMIGRATE_STATE") is { Length: > 0 } given)
            return Path.GetFullPath(given);
        var state = Environment.GetEnvironmentVariable("XDG_STATE_HOME") is { Length: > 0 } xdg
            ? xdg
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "state");
        return Path.Combine(state, "distmigrate");
    }
}

using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using DistMigrate.Client.Connection;
using DistMigrate.Client.Values;

namespace DistMigrate.Client.Commands;

/// <summary>Options that several commands take. Each command gets its own instance.</summary>
internal static class CommonOptions
{
    public static Option<string?> Host() => new("--host")
    {
        Description = "Host of the cluster that does it [default: this machine's silo, else DISTMIGRATE_HOST, else the configuration file]",
        HelpName = "HOST",
    };

    public static Option<bool> Wait() => new("--wait") { Description = "Stay until it has ended (the default)" };

    public static Option<bool> Detach() => new("--detach") { Description = "Only start it and print its id; it goes on in the background" };

    public static Option<TimeSpan?> Timeout() => Duration(
        "--timeout", "Stop waiting after this time with exit code 124, such as 90s, 5m or 1h30m; the migration goes on [default: none]", mayBeZero: false);

    /// <summary>A duration.</summary>
    public static Option<TimeSpan?> Duration(string name, string description, bool mayBeZero) => new(name)
    {
        Description = description,
        HelpName = "DURATION",
        CustomParser = result =>
        {
            if (DurationText.TryParse(result.Tokens[0].Value, out var duration) && (mayBeZero || duration > TimeSpan.Zero))
                return duration;
            result.AddError($"'{result.Tokens[0].Value}' is not a duration for {name}; write 90s, 5m or 1h30m.");
            return null;
        },
    };

    /// <summary>Bytes per second.</summary>
    public static Option<long?> Rate(string name, string description, bool mayBeZero) => new(name)
    {
        Description = description,
        HelpName = "RATE",
        CustomParser = result =>
        {
            if (ByteSize.TryParseRate(result.Tokens[0].Value, out var rate) && (rate > 0 || mayBeZero))
                return rate;
            result.AddError($"'{result.Tokens[0].Value}' is not a rate; write 500MiB/s or 1G.");
            return null;
        },
    };

    public static Argument<string> Id() => new("ID") { Description = "Id of the migration" };

    public static Argument<string> Image() => new("IMAGE") { Description = "Path of the image" };

    /// <summary>A whole number within limits.</summary>
    public static Option<int> Number(string name, string description, int least, int most, int defaultValue) =>
        new(name)
        {
            Description = description,
            HelpName = "N",
            DefaultValueFactory = _ => defaultValue,
            CustomParser = result =>
            {
                var text = result.Tokens[0].Value;
                if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most)
                    return value;
                result.AddError($"{name} takes a whole number from {least} to {most}, not '{text}'.");
                return defaultValue;
            },
        };

    /// <summary>Refuses --wait together with --detach, and a time limit without waiting.</summary>
    /// <exception cref="CommandException">They do not go together.</exception>
    public static void CheckWaiting(Invocation invocation, Option<bool> wait, Option<bool> detach, Option<TimeSpan?> timeout)
    {
        if (!invocation.Get(detach))
            return;
        if (invocation.Get(wait))
            throw CommandException.Usage("--wait and --detach exclude each other.", "give one of them; --wait is the default");
        if (invocation.Get(timeout) is not null)
            throw CommandException.Usage("--timeout limits the waiting, and --detach does not wait.", "give one of them");
    }

    /// <summary>The host that is to do it.</summary>
    /// <exception cref="CommandException">None is named.</exception>
    public static string ChooseHost(string? flag, SiloConnection connection, ClientSettings settings) =>
        flag ?? connection.LocalHost ?? settings.Host
        ?? throw CommandException.Usage(
            "a cluster is configured, but no host is named.",
            "name one by --host, DISTMIGRATE_HOST, or \"host\" in the configuration file");

    /// <summary>Refuses a name that no guest can have.</summary>
    public static void CheckGuestName(SymbolResult result, string? name)
    {
        if (name is not null && !GuestName.IsValid(name))
            result.AddError($"'{Printable.Of(name)}' is not a guest's name; it has 1 to {GuestName.MaxLength} letters, digits, dots, dashes or underscores.");
    }
}

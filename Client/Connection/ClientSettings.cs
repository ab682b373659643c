using System.Net;
using DistMigrate.Tls;
using StackExchange.Redis;

namespace DistMigrate.Client.Connection;

/// <summary>Where the silos are. Flags go before environment, environment before the user's file, that before the machine's.</summary>
/// <param name="Gateways">Gateways of a configured cluster; empty when this machine's own silo serves.</param>
/// <param name="ClusterId">Its id; it holds a secret, and a gateway refuses a client with another one.</param>
/// <param name="Host">The host that saves and restores when a command names none; null when not configured.</param>
/// <param name="StateFolder">Where the background silo of this user keeps its state.</param>
/// <param name="SiloProgram">The silo's executable; null to look for it beside the client.</param>
/// <param name="Redis">The Redis that knows the configured cluster's gateways; null when they are named, or none is configured.</param>
/// <param name="Tls">What makes this client a member of the configured cluster; null without TLS.</param>
internal sealed record ClientSettings(
    IReadOnlyList<IPEndPoint> Gateways, string ClusterId, string? Host, string StateFolder, string? SiloProgram, ConfigurationOptions? Redis = null,
    TlsFiles? Tls = null)
{
    public const string MachineFile = "/etc/distmigrate/config.json";

    /// <summary>Whether a cluster is configured; no silo is started then.</summary>
    public bool IsCluster => Gateways.Count > 0 || Redis is not null;

    /// <summary>Reads every layer: <paramref name="flags"/> is what the command line says, <paramref name="machineFile"/> the weakest.</summary>
    /// <exception cref="CommandException">A file or value does not make sense; the message names it.</exception>
    public static ClientSettings Load(Surroundings surroundings, SettingsLayer flags, string machineFile = MachineFile)
    {
        SettingsLayer[] layers =
        [
            flags,
            SettingsLayer.FromEnvironment(surroundings),
            SettingsLayer.FromFile(UserFile(surroundings)),
            SettingsLayer.FromFile(machineFile),
        ];
        var cluster = layers.FirstOrDefault(l => l.Gateways is { Count: > 0 } || !string.IsNullOrEmpty(l.Redis));
        var gateways = cluster?.Gateways ?? [];
        var clusterId = layers.Select(l => l.ClusterId).FirstOrDefault(v => !string.IsNullOrEmpty(v));
        var redis = gateways.Count > 0 ? null : cluster?.Redis;
        if (cluster is not null && clusterId is null)
            throw CommandException.Usage(
                "a cluster is configured, but not its cluster id.",
                "set --cluster-id, DISTMIGRATE_CLUSTER_ID, or \"cluster-id\" in the configuration file");
        return new ClientSettings(
            [.. gateways.Select(ParseGateway)],
            clusterId ?? "",
            layers.Select(l => l.Host).FirstOrDefault(v => !string.IsNullOrEmpty(v)),
            surroundings.Absolute(layers.Select(l => l.State).FirstOrDefault(v => !string.IsNullOrEmpty(v)) ?? DefaultStateFolder(surroundings)),
            surroundings.NonEmpty("DISTMIGRATE_SILO"),
            redis is null ? null : ParseRedis(redis),
            cluster is null ? null : TlsOf(surroundings, layers));
    }

    /// <exception cref="CommandException">Some of the files are named, and some are not.</exception>
    private static TlsFiles? TlsOf(Surroundings surroundings, SettingsLayer[] layers)
    {
        var paths = new[] { layers.Select(l => l.TlsCertificate), layers.Select(l => l.TlsKey), layers.Select(l => l.TlsAuthority) }
            .Select(values => values.FirstOrDefault(v => !string.IsNullOrEmpty(v))).OfType<string>().Select(surroundings.Absolute).ToList();
        return paths.Count switch
        {
            0 => null,
            3 => new TlsFiles(paths[0], paths[1], paths[2]),
            _ => throw CommandException.Usage(
                "TLS takes a certificate, its key and the cluster's authority, and not all three are configured.",
                "set DISTMIGRATE_TLS_CERTIFICATE, DISTMIGRATE_TLS_KEY and DISTMIGRATE_TLS_AUTHORITY, or \"tls-certificate\", \"tls-key\" and " +
                "\"tls-authority\" in the configuration file"),
        };
    }

    /// <summary>Reads <c>ip:port</c>.</summary>
    /// <exception cref="CommandException">It is something else.</exception>
    public static IPEndPoint ParseGateway(string text) =>
        IPEndPoint.TryParse(text.Trim(), out var gateway) && gateway.Port != 0
            ? gateway
            : throw CommandException.Usage(
                $"'{text.Trim()}' is not the address of a gateway.", "write ip:port, such as 10.0.0.7:30000 or [fd00::7]:30000");

    /// <summary>Reads how to reach a Redis, as StackExchange.Redis writes it.</summary>
    /// <exception cref="CommandException">It is something else.</exception>
    private static ConfigurationOptions ParseRedis(string text)
    {
        const string hint = "name a configuration file that exists, or write host:6379,password=...";
        try
        {
            var options = ConfigurationOptions.Parse(text);
            options.ClientName = "distmigrate";

            // Details are keys, and those of membership have the cluster's id in them.
            options.IncludeDetailInExceptions = false;
            return options.EndPoints.Count > 0 ? options : throw CommandException.Usage("the cluster's Redis has no address.", hint);
        }
        catch (ArgumentException)
        {
            // Not its text, which may hold a password.
            throw CommandException.Usage("the cluster is neither a configuration file nor the address of a Redis.", hint);
        }
    }

    private static string UserFile(Surroundings surroundings) => Path.Combine(
        surroundings.NonEmpty("XDG_CONFIG_HOME") ?? Path.Combine(Home(surroundings), ".config"), "distmigrate", "config.json");

    private static string DefaultStateFolder(Surroundings surroundings) => Path.Combine(
        surroundings.NonEmpty("XDG_STATE_HOME") ?? Path.Combine(Home(surroundings), ".local", "state"), "distmigrate");

    private static string Home(Surroundings surroundings) =>
        surroundings.NonEmpty("HOME") ?? Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
}

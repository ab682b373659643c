using System.Text.Json;
using DistMigrate.Client.Values;

namespace DistMigrate.Client.Connection;

/// <summary>One source of settings; what it does not say is null. It is also the form of the configuration file.</summary>
/// <param name="Gateways">Each <c>ip:port</c>.</param>
/// <param name="ClusterId">The cluster's id.</param>
/// <param name="Host">The default host.</param>
/// <param name="State">The state folder.</param>
/// <param name="Redis">How to reach the cluster's Redis, which knows the gateways.</param>
/// <param name="TlsCertificate">PEM file of the certificate that the cluster's gateways are shown.</param>
/// <param name="TlsKey">PEM file of its private key.</param>
/// <param name="TlsAuthority">PEM file of the cluster's own authority.</param>
internal sealed record SettingsLayer(
    IReadOnlyList<string>? Gateways = null, string? ClusterId = null, string? Host = null, string? State = null, string? Redis = null,
    string? TlsCertificate = null, string? TlsKey = null, string? TlsAuthority = null)
{
    public static SettingsLayer FromEnvironment(Surroundings surroundings) => (surroundings.NonEmpty("DISTMIGRATE_CLUSTER") is { } cluster
        ? OfCluster(surroundings, cluster)
        : new SettingsLayer()).Under(OfVariables(surroundings));

    /// <summary>What is said of a cluster in one word: a configuration file where there is one of that name, else how to reach its Redis.</summary>
    /// <exception cref="CommandException">There is no such file, or it cannot be read or understood.</exception>
    public static SettingsLayer OfCluster(Surroundings surroundings, string fileOrRedis) =>
        File.Exists(surroundings.Absolute(fileOrRedis)) ? FromFile(surroundings.Absolute(fileOrRedis))
        : fileOrRedis.StartsWith('/') || fileOrRedis.StartsWith('.') || fileOrRedis.EndsWith(".json", StringComparison.Ordinal)
            ? throw CommandException.Usage($"there is no configuration file {Printable.Of(fileOrRedis)}.", "name one that exists, or write how to reach the cluster's Redis: host:6379,password=...")
            : new SettingsLayer(Redis: fileOrRedis);

    /// <summary>This layer below a stronger one.</summary>
    public SettingsLayer Under(SettingsLayer stronger) => new(
        stronger.Gateways ?? Gateways, stronger.ClusterId ?? ClusterId, stronger.Host ?? Host, stronger.State ?? State, stronger.Redis ?? Redis,
        stronger.TlsCertificate ?? TlsCertificate, stronger.TlsKey ?? TlsKey, stronger.TlsAuthority ?? TlsAuthority);

    private static SettingsLayer OfVariables(Surroundings surroundings) => new(
        surroundings.NonEmpty("DISTMIGRATE_GATEWAYS") is { } gateways ? SplitGateways(gateways) : null,
        surroundings.NonEmpty("DISTMIGRATE_CLUSTER_ID"),
        surroundings.NonEmpty("DISTMIGRATE_HOST"),
        surroundings.NonEmpty("DISTMIGRATE_STATE"),
        TlsCertificate: surroundings.NonEmpty("DISTMIGRATE_TLS_CERTIFICATE"),
        TlsKey: surroundings.NonEmpty("DISTMIGRATE_TLS_KEY"),
        TlsAuthority: surroundings.NonEmpty("DISTMIGRATE_TLS_AUTHORITY"));

    /// <summary>Reads a file; one that is not there says nothing.</summary>
    /// <exception cref="CommandException">It cannot be read or understood.</exception>
    public static SettingsLayer FromFile(string path)
    {
        try
        {
            var bytes = File.ReadAllBytes(path);
            return JsonSerializer.Deserialize(bytes, ConnectionJson.Default.SettingsLayer) ?? new SettingsLayer();
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return new SettingsLayer();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CommandException.Usage($"the configuration file {path} cannot be read: {e.Message}");
        }
        catch (JsonException e)
        {
            throw CommandException.Usage(
                $"the configuration file {path} is malformed at line {e.LineNumber + 1}: {WordsOf(e)}.",
                "it is one JSON object with \"gateways\" (a list of \"ip:port\") or \"redis\", \"cluster-id\", \"host\", \"state\", " +
                "\"tls-certificate\", \"tls-key\" and \"tls-authority\"");
        }
    }

    /// <summary>Without the names of types of ours, and the position that is told already.</summary>
    private static string WordsOf(JsonException e) => e.Message.Split(" contained in type ")[0].Replace("mapped to any .NET member", "understood", StringComparison.Ordinal).Split(" Path: ")[0].TrimEnd('.');

    /// <summary>Splits <c>ip:port,ip:port</c>.</summary>
    public static IReadOnlyList<string> SplitGateways(string text) =>
        text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
}

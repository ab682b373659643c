using DistMigrate.Contracts;

namespace DistMigrate.Grains;

/// <summary>How grain keys are composed: the host first, since it decides the place.</summary>
internal static class GrainKeys
{
    /// <summary>Longest name of a host, guest or migration.</summary>
    private const int MaxName = 64;

    /// <summary>What a name is, for messages.</summary>
    public static string NameRule { get; } = $"use 1 to {MaxName} letters, digits, dots, dashes and underscores, and do not begin with a dot or dash.";

    public static string RamBlock(string host, string guest, string ramBlock) => $"{host}/{guest}/{ramBlock}";

    public static string OnHost(string host, string migration) => $"{host}/{migration}";

    public static string HostOf(string key) => key.Split('/', 2)[0];

    /// <summary>Host and migration of an image writer's or loader's key.</summary>
    public static (string Host, string Migration) ParseOnHost(string key) =>
        key.Split('/', 2) is [var host, var migration] ? (host, migration) : throw NotAKey(key);

    /// <summary>Host, guest and RAMBlock of a block's key; a RAMBlock's name may hold slashes.</summary>
    public static (string Host, string Guest, string RamBlock) ParseRamBlock(string key) =>
        key.Split('/', 3) is [var host, var guest, var ramBlock] ? (host, guest, ramBlock) : throw NotAKey(key);

    /// <summary>Refuses a name that could not be part of a key or of a file name.</summary>
    public static void CheckName(string what, string? name)
    {
        if (!IsName(name))
            throw new MigrationException(FailureReason.InvalidRequest, $"'{name}' is no {what} name: {NameRule}");
    }

    public static bool IsName(string? name) =>
        name is { Length: > 0 and <= MaxName } && name[0] is not ('.' or '-') && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_');

    private static ArgumentException NotAKey(string key) => new($"'{key}' is not a key of this grain.");
}

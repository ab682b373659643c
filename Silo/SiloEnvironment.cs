using System.Collections;

namespace DistMigrate.Silo;

/// <summary>Settings of the silo in the environment: <c>DISTMIGRATE_</c> and the setting's name, such as <c>DISTMIGRATE_Storage__Roots__0</c>.</summary>
internal static class SiloEnvironment
{
    public const string Prefix = "DISTMIGRATE_";

    /// <summary>
    /// The command's variable for the host that it asks when it is told none. A silo that the command starts inherits it, and would
    /// take another host's name; <c>DISTMIGRATE_Host</c> is the setting.
    /// </summary>
    private const string CommandsHost = Prefix + "HOST";

    /// <summary>The settings among variables, by configuration key such as <c>Storage:Roots:0</c>. No other variable of ours is called
    /// like a setting. Of two that differ in case alone, the one that sorts last counts, which is the one written like the setting.</summary>
    public static IEnumerable<KeyValuePair<string, string?>> Settings(IDictionary variables) => variables.Cast<DictionaryEntry>()
        .Select(variable => (Name: (string)variable.Key, Value: (string?)variable.Value))
        .Where(variable => variable.Name.StartsWith(Prefix, StringComparison.Ordinal) && variable.Name != CommandsHost)
        .OrderByDescending(variable => variable.Name, StringComparer.Ordinal)
        .Select(variable => KeyValuePair.Create(variable.Name[Prefix.Length..].Replace("__", ":", StringComparison.Ordinal), variable.Value))
        .DistinctBy(setting => setting.Key, StringComparer.OrdinalIgnoreCase);
}

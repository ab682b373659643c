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

    /// <summary>
    /// The settings among variables, by configuration key such as <c>Storage:Roots:0</c>. A name in capitals that is no setting's is one of the
    /// command's own, such as <c>DISTMIGRATE_STATE</c>; any other is meant as a setting, even where there is none like it. Of two that differ in
    /// case alone, the one that sorts last counts, which is the one written like the setting.
    /// </summary>
    public static IEnumerable<KeyValuePair<string, string?>> Settings(IDictionary variables) => variables.Cast<DictionaryEntry>()
        .Select(variable => (Name: (string)variable.Key, Value: (string?)variable.Value))
        .Where(variable => variable.Name.StartsWith(Prefix, StringComparison.Ordinal) && variable.Name != CommandsHost)
        .Where(variable => variable.Name.Any(char.IsAsciiLetterLower) || IsSetting(variable.Name[Prefix.Length..]))
        .OrderByDescending(variable => variable.Name, StringComparer.Ordinal)
        .Select(variable => KeyValuePair.Create(variable.Name[Prefix.Length..].Replace("__", ":", StringComparison.Ordinal), variable.Value))
        .DistinctBy(setting => setting.Key, StringComparer.OrdinalIgnoreCase);

    /// <summary>Whether a name in capitals is that of a setting or, for what is below a section, that of the section.</summary>
    private static bool IsSetting(string name) => SettingsReference.PropertiesOf(typeof(SiloSettings))
        .Any(property => SettingsReference.IsSingle(property.PropertyType)
            ? property.Name.Equals(name, StringComparison.OrdinalIgnoreCase)
            : name.StartsWith(property.Name + "__", StringComparison.OrdinalIgnoreCase));
}

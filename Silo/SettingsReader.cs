using System.Collections;
using System.ComponentModel;
using System.Reflection;

namespace DistMigrate.Silo;

/// <summary>
/// Reads the settings from the configuration file and the environment. The framework's binder passes over names that it does not know, and
/// ends at the first value of another kind; here everything is looked at first, and the binder gets what it can take.
/// </summary>
internal sealed class SettingsReader
{
    private readonly SettingFaults _faults = new();
    private readonly List<KeyValuePair<string, string?>> _usable = [];

    /// <param name="configFile">A JSON file, or null.</param>
    /// <param name="environment">Variables of the environment, which win over the file.</param>
    /// <exception cref="SettingsException">The file cannot be read, or settings make no sense.</exception>
    public static SiloSettings Load(string? configFile, IDictionary environment)
    {
        var builder = new ConfigurationBuilder();
        if (configFile is not null)
            builder.AddJsonFile(configFile, optional: false);
        builder.AddInMemoryCollection(SiloEnvironment.Settings(environment));
        try
        {
            return Read(builder.Build());
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            // The parser's own error is inside, with the line.
            throw new SettingsException([$"the configuration file {configFile} cannot be read: {e.InnerException?.Message ?? e.Message}"]);
        }
    }

    /// <exception cref="SettingsException">Settings make no sense.</exception>
    public static SiloSettings Read(IConfiguration configuration)
    {
        var reader = new SettingsReader();
        reader.Section(configuration, typeof(SiloSettings), prefix: "");
        var settings = new ConfigurationBuilder().AddInMemoryCollection(reader._usable).Build().Get<SiloSettings>() ?? new SiloSettings();
        settings.Check(reader._faults);
        reader._faults.ThrowIfAny();
        return settings;
    }

    private void Section(IConfiguration section, Type type, string prefix)
    {
        var known = SettingsReference.PropertiesOf(type);
        foreach (var child in section.GetChildren())
        {
            if (known.FirstOrDefault(property => property.Name.Equals(child.Key, StringComparison.OrdinalIgnoreCase)) is { } property)
                Property(child, property, prefix + property.Name);
            else
                _faults.Add(prefix + child.Key, $"{prefix}{child.Key} is no setting{SettingsReference.Nearest(prefix, child.Key)}");
        }
    }

    private void Property(IConfigurationSection child, PropertyInfo property, string name)
    {
        var type = property.PropertyType;
        var isSecret = property.GetCustomAttribute<SettingAttribute>()?.IsSecret == true;
        if (SettingsReference.IsSection(type))
        {
            if (IsNested(child, name, "it has settings below it"))
                Section(child, type, name + ":");
        }
        else if (type == typeof(string[]))
        {
            if (IsNested(child, name, "it is a list, such as [ \"one\", \"two\" ], or in the environment a variable for each entry that ends with its number (__0)"))
                foreach (var entry in child.GetChildren())
                    Value(entry, typeof(string), $"{name}:{entry.Key}", isSecret);
        }
        else if (type == typeof(Dictionary<string, string>))
        {
            if (IsNested(child, name, "it has an entry for each name"))
                foreach (var entry in child.GetChildren())
                    Value(entry, typeof(string), $"{name}:{entry.Key}", isSecret);
        }
        else if (SettingsReference.EntryType(type) is { } entryType)
        {
            if (IsNested(child, name, "it has an entry for each name"))
                foreach (var entry in child.GetChildren())
                    if (IsNested(entry, $"{name}:{entry.Key}", "it has settings below it"))
                        Section(entry, entryType, $"{name}:{entry.Key}:");
        }
        else
        {
            Value(child, type, name, isSecret);
        }
    }

    /// <summary>Whether something may be below it. In a JSON file, [] has an empty value, and {} has none.</summary>
    private bool IsNested(IConfigurationSection section, string name, string rule)
    {
        if (section.GetChildren().Any() || string.IsNullOrEmpty(section.Value))
            return true;

        // Not its value: it may be a whole connection string, in the wrong place.
        _faults.Add(name, $"{name} is a single value; {rule}");
        return false;
    }

    private void Value(IConfigurationSection section, Type type, string name, bool isSecret)
    {
        if (section.GetChildren().Any())
        {
            _faults.Add(name, $"{name} has settings below it; it is {SettingsReference.KindOf(type)}");
            return;
        }

        if (section.Value is null)
            _faults.Add(name, $"{name} is null; it is {SettingsReference.KindOf(type)}, or left out");
        else if (!CanConvert(section.Value, type) && isSecret)
            _faults.Add(name, $"{name} cannot be understood; it is {SettingsReference.KindOf(type)}");
        else if (!CanConvert(section.Value, type))
            _faults.Value(name, section.Value, $"it is {SettingsReference.KindOf(type)}");
        else
            _usable.Add(KeyValuePair.Create(section.Path, (string?)section.Value));
    }

    /// <summary>As the binder converts, whose converters throw whatever comes.</summary>
    private static bool CanConvert(string value, Type type)
    {
        try
        {
            TypeDescriptor.GetConverter(Nullable.GetUnderlyingType(type) ?? type).ConvertFromInvariantString(value);
            return true;
        }
        catch (Exception e) when (e is ArgumentException or FormatException or OverflowException or NotSupportedException)
        {
            return false;
        }
    }
}

using System.Globalization;
using System.Reflection;
using System.Text;

namespace DistMigrate.Silo;

/// <summary>What settings there are, from the classes that hold them.</summary>
internal static class SettingsReference
{
    private const int MostMistyped = 3;

    /// <summary>One line of the reference.</summary>
    /// <param name="Name">Its name, such as <c>Limits:Writers</c>.</param>
    /// <param name="Kind">What kind of value it takes.</param>
    /// <param name="Default">What it is when nobody says anything.</param>
    /// <param name="Meaning">What it means.</param>
    internal sealed record Entry(string Name, string Kind, string Default, string Meaning);

    public static IReadOnlyList<Entry> All { get; } = [.. EntriesOf(new SiloSettings(), prefix: "")];

    /// <summary>The reference as a table of Markdown.</summary>
    public static string ToMarkdown()
    {
        var text = new StringBuilder("| Setting | Value | Default | Meaning |\n|---|---|---|---|\n");
        foreach (var entry in All)
            text.Append(CultureInfo.InvariantCulture, $"| `{entry.Name}` | {entry.Kind} | {entry.Default} | {entry.Meaning} |\n");
        return text.ToString();
    }

    public static IEnumerable<PropertyInfo> PropertiesOf(Type type) =>
        type.GetProperties(BindingFlags.Instance | BindingFlags.Public).Where(property => property.CanWrite);

    /// <summary>Whether it is a class of ours with settings in it.</summary>
    public static bool IsSection(Type type) => type.IsClass && type.Assembly == typeof(SiloSettings).Assembly;

    /// <summary>Whether its value is one text, with nothing below it.</summary>
    public static bool IsSingle(Type type) => type == typeof(string) || type.IsValueType;

    /// <summary>What is behind each name of a dictionary of sections; null for any other type.</summary>
    public static Type? EntryType(Type type) =>
        type.IsGenericType && type.GetGenericTypeDefinition() == typeof(Dictionary<,>) && IsSection(type.GetGenericArguments()[1]) ? type.GetGenericArguments()[1] : null;

    public static string KindOf(Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        return type switch
        {
            _ when type.IsEnum => string.Join(" or ", Enum.GetNames(type)),
            _ when type == typeof(int) || type == typeof(long) => "a whole number",
            _ when type == typeof(double) => "a number",
            _ when type == typeof(bool) => "true or false",
            _ when type == typeof(TimeSpan) => "a time, such as 00:00:30",
            _ when type == typeof(string[]) => "a list of texts",
            _ when type == typeof(string) || type == typeof(Dictionary<string, string>) => "a text",
            _ => throw new NotSupportedException($"{type} is no kind of a setting; say here what it is called."),
        };
    }

    /// <summary>The known setting that was probably meant, as the end of a sentence; empty when there is none like it.</summary>
    public static string Nearest(string prefix, string key)
    {
        var names = All.Select(entry => entry.Name).SelectMany(WithSections).Distinct(StringComparer.Ordinal).ToList();
        var elsewhere = names.Find(name => name.Split(':')[^1].Equals(key, StringComparison.OrdinalIgnoreCase));
        var beside = names.Where(name => name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase) && !name[prefix.Length..].Contains(':', StringComparison.Ordinal))
            .Select(name => (Name: name, Distance: Distance(name[prefix.Length..].ToUpperInvariant(), key.ToUpperInvariant())))
            .Where(candidate => candidate.Distance <= Math.Min(MostMistyped, key.Length / 2))
            .OrderBy(candidate => candidate.Distance).Select(candidate => candidate.Name).FirstOrDefault();
        return (beside ?? elsewhere) is { } meant ? $"; {meant} is one" : "";
    }

    private static IEnumerable<Entry> EntriesOf(object section, string prefix)
    {
        foreach (var property in PropertiesOf(section.GetType()))
        {
            var name = prefix + property.Name;
            if (IsSection(property.PropertyType))
            {
                foreach (var entry in EntriesOf(property.GetValue(section)!, name + ":"))
                    yield return entry;
            }
            else if (EntryType(property.PropertyType) is { } entryType)
            {
                foreach (var entry in EntriesOf(Activator.CreateInstance(entryType)!, name + ":NAME:"))
                    yield return entry;
            }
            else
            {
                var setting = property.GetCustomAttribute<SettingAttribute>()
                    ?? throw new InvalidOperationException($"{section.GetType().Name}.{property.Name} has no [Setting] that tells operators what it means.");
                var isDictionary = property.PropertyType == typeof(Dictionary<string, string>);
                yield return new Entry(
                    isDictionary ? name + ":NAME" : name, KindOf(property.PropertyType), setting.Default ?? DefaultOf(property.GetValue(section)), setting.Meaning);
            }
        }
    }

    private static string DefaultOf(object? value) => value switch
    {
        null or "" or Array { Length: 0 } or Dictionary<string, string> { Count: 0 } => "none",
        IEnumerable<string> texts => string.Join(", ", texts.Select(text => $"`{text}`")),
        TimeSpan time => $"`{time:c}`",
        _ => $"`{string.Create(CultureInfo.InvariantCulture, $"{value}")}`",
    };

    /// <summary>A name and the sections that it is in.</summary>
    private static IEnumerable<string> WithSections(string name)
    {
        var parts = name.Split(':');
        return Enumerable.Range(1, parts.Length).Select(count => string.Join(':', parts[..count]));
    }

    /// <summary>How many letters are to be put in, taken out or replaced to make one of the other.</summary>
    private static int Distance(string one, string other)
    {
        var row = Enumerable.Range(0, other.Length + 1).ToArray();
        for (var i = 1; i <= one.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= other.Length; j++)
            {
                var replaced = diagonal + (one[i - 1] == other[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(replaced, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[^1];
    }
}

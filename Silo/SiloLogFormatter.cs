using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;
using Microsoft.Extensions.Options;

namespace DistMigrate.Silo;

/// <summary>
/// Lines for people and for journald: level, what, and at the end of each line host, migration, guest and RAMBlock as <c>name=value</c>. Under
/// journald a line begins with its priority (sd-daemon(3)) instead of the time, which journald has.
/// </summary>
internal sealed class SiloLogFormatter(IOptions<SiloLogOptions> options, TimeProvider time) : ConsoleFormatter(FormatterName)
{
    public const string FormatterName = "silo";

    /// <summary>What is told at the end of a line, by the names that messages and scopes have for it.</summary>
    private static readonly (string Key, string Label)[] Fields = [("Migration", "migration"), ("Id", "migration"), ("Guest", "guest"), ("RamBlock", "ramblock")];

    private readonly SiloLogOptions _options = options.Value;

    public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
    {
        var prefix = _options.IsJournal
            ? $"<{PriorityOf(logEntry.LogLevel)}>"
            : time.GetUtcNow().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z' ", CultureInfo.InvariantCulture);
        textWriter.Write($"{prefix}{NameOf(logEntry.LogLevel)}: {logEntry.Category}: {OneLine(logEntry.Formatter(logEntry.State, logEntry.Exception))} [host={_options.Host}");
        foreach (var (label, value) in FieldsOf(logEntry.Category, logEntry.State, scopeProvider))
            textWriter.Write($" {label}={OneLine(value)}");
        textWriter.WriteLine(']');
        if (logEntry.Exception is null)
            return;
        foreach (var line in logEntry.Exception.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            textWriter.WriteLine($"{(_options.IsJournal ? prefix : "")}    {line}");
    }

    private static List<(string Label, string Value)> FieldsOf<TState>(string category, TState state, IExternalScopeProvider? scopes)
    {
        var found = new List<(string Label, string Value)>();

        // What others call an Id is none of a migration.
        if (category.StartsWith("DistMigrate", StringComparison.Ordinal))
            Take(state, found);
        scopes?.ForEachScope(Take, found);
        return found;
    }

    /// <summary>The line's own word counts more than that of what surrounds it.</summary>
    private static void Take(object? state, List<(string Label, string Value)> found)
    {
        if (state is not IEnumerable<KeyValuePair<string, object?>> pairs)
            return;
        foreach (var (key, value) in pairs)
        {
            if (Array.Find(Fields, field => field.Key == key).Label is { } label && !found.Exists(field => field.Label == label))
                found.Add((label, Convert.ToString(value, CultureInfo.InvariantCulture) ?? ""));
        }
    }

    /// <summary>Whatever comes from outside cannot begin a line.</summary>
    private static string OneLine(string text) => text.ReplaceLineEndings(" ");

    private static int PriorityOf(LogLevel level) => level switch
    {
        LogLevel.Critical => 2,
        LogLevel.Error => 3,
        LogLevel.Warning => 4,
        LogLevel.Information => 6,
        _ => 7,
    };

    private static string NameOf(LogLevel level) => level switch
    {
        LogLevel.Critical => "crit",
        LogLevel.Error => "error",
        LogLevel.Warning => "warn",
        LogLevel.Information => "info",
        _ => "debug",
    };
}

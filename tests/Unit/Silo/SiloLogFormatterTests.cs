using DistMigrate.Silo;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace DistMigrate.Tests.Unit.Silo;

public sealed class SiloLogFormatterTests
{
    private static readonly KeyValuePair<string, object?>[] Line = [new("Guest", "vm\n1"), new("{OriginalFormat}", "…")];

    [Fact]
    public void A_line_tells_time_level_and_whose_it_is_and_what_comes_from_outside_cannot_begin_another() => Assert.Equal(
        "2026-01-02T03:04:05.000Z warn: DistMigrate.Grains: Guest vm 1 hangs [host=host-a guest=vm 1 migration=m-1]\n",
        Write(isJournal: false, LogLevel.Warning, exception: null));

    [Theory]
    [InlineData(LogLevel.Critical, 2)]
    [InlineData(LogLevel.Error, 3)]
    [InlineData(LogLevel.Warning, 4)]
    [InlineData(LogLevel.Information, 6)]
    [InlineData(LogLevel.Debug, 7)]
    public void Under_journald_every_line_has_its_priority(LogLevel level, int priority)
    {
        var lines = Write(isJournal: true, level, new IOException("first\nsecond")).TrimEnd().Split('\n');
        Assert.True(lines.Length > 2);
        Assert.All(lines, line => Assert.StartsWith($"<{priority}>", line, StringComparison.Ordinal));
    }

    [Fact]
    public void An_Id_of_a_line_of_somebody_else_is_not_taken_for_a_migration()
    {
        KeyValuePair<string, object?>[] probe = [new("Id", 11), new("{OriginalFormat}", "…")];
        Assert.Equal(
            "2026-01-02T03:04:05.000Z warn: Orleans.Runtime: Guest vm 1 hangs [host=host-a migration=m-1 guest=not this one]\n",
            Write(isJournal: false, LogLevel.Warning, exception: null, "Orleans.Runtime", probe));
    }

    [Fact]
    public void A_line_in_JSON_tells_its_host_and_whose_it_is()
    {
        var told = new List<string>();
        var scopes = new HostScopeProvider("host-a");
        using var scope = scopes.Push("inner");
        scopes.ForEachScope((state, list) => list.Add(state is IEnumerable<KeyValuePair<string, object?>> pairs ? string.Join(' ', pairs) : $"{state}"), told);
        Assert.Equal(["[Host, host-a]", "inner"], told);
    }

    private static string Write(bool isJournal, LogLevel level, Exception? exception, string category = "DistMigrate.Grains", KeyValuePair<string, object?>[]? line = null)
    {
        var formatter = new SiloLogFormatter(
            Options.Create(new SiloLogOptions { Host = "host-a", IsJournal = isJournal }), new FakeTimeProvider(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero)));
        var scopes = new LoggerExternalScopeProvider();
        using var scope = scopes.Push(new KeyValuePair<string, object?>[] { new("Migration", "m-1"), new("Guest", "not this one") });
        using var text = new StringWriter { NewLine = "\n" };
        formatter.Write(new LogEntry<KeyValuePair<string, object?>[]>(level, category, 0, line ?? Line, exception, (_, _) => "Guest vm\n1 hangs"), scopes, text);
        return text.ToString();
    }
}

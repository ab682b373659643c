using System.CommandLine;
using DistMigrate.Client.Output;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate list</c>.</summary>
internal static class ListCommand
{
    private static readonly TimeSpan Recent = TimeSpan.FromDays(1);

    public static Command Create(CommandRunner runner)
    {
        var all = new Option<bool>("--all") { Description = "Everything that the catalog still knows" };
        var since = new Option<string?>("--since")
        {
            Description = "What is unfinished, and what ended since then: how long ago, such as 2h or 7d, or a date such as 2026-01-31 or 2026-01-31T12:00 [default: 24h]",
            HelpName = "TIME",
        };
        var command = new Command("list", "List migrations, newest first.") { all, since };
        runner.Attach(command, async invocation =>
        {
            var oldest = OldestOf(invocation, invocation.Get(all), invocation.Get(since));
            await using var connection = await invocation.ConnectAsync();
            var migrations = await CatalogReader.ReadAsync(connection, invocation.Cancellation);
            var shown = Shorten(migrations, oldest);
            invocation.Terminal.Show(shown, invocation.Time);
            if (migrations.Count == 0)
                invocation.Terminal.Say("no migration is known");
            else if (shown.Count < migrations.Count)
                invocation.Terminal.Say($"{migrations.Count - shown.Count} that ended earlier are left out; --all shows them");
            return ExitCode.Ok;
        });
        return command;
    }

    /// <summary>What is unfinished, and what ended at that moment or later.</summary>
    internal static IReadOnlyList<MigrationSummary> Shorten(IReadOnlyList<MigrationSummary> migrations, DateTimeOffset oldest) =>
        [.. migrations.Where(migration => !migration.Phase.IsEnd() || migration.Changed >= oldest)];

    private static DateTimeOffset OldestOf(Invocation invocation, bool all, string? since)
    {
        if (since is null)
            return all ? DateTimeOffset.MinValue : invocation.Time.GetUtcNow() - Recent;
        if (all)
            throw CommandException.Usage("--all and --since exclude each other.", "give one of them");
        return MomentText.TryParse(since, invocation.Time, out var moment)
            ? moment
            : throw CommandException.Usage(
                $"'{Printable.Of(since)}' is no time for --since.", "write how long ago, such as 2h or 7d, or a date such as 2026-01-31 or 2026-01-31T12:00");
    }
}

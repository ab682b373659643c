using System.CommandLine;
using DistMigrate.Client.Output;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate list</c>.</summary>
internal static class ListCommand
{
    private const int Recent = 20;

    public static Command Create(CommandRunner runner)
    {
        var all = new Option<bool>("--all")
        {
            Description = $"Everything that the catalog still knows [default: what is unfinished, and the last {Recent} that ended]",
        };
        var command = new Command("list", "List migrations, newest first.") { all };
        runner.Attach(command, async invocation =>
        {
            await using var connection = await invocation.ConnectAsync();
            var migrations = await CatalogReader.ReadAsync(connection, invocation.Cancellation);
            var shown = invocation.Get(all) ? migrations : Shorten(migrations);
            invocation.Terminal.Show(shown, invocation.Time);
            if (shown.Count == 0)
                invocation.Terminal.Say("no migration is known");
            else if (shown.Count < migrations.Count)
                invocation.Terminal.Say($"{migrations.Count - shown.Count} older ones are left out; --all shows them");
            return ExitCode.Ok;
        });
        return command;
    }

    internal static IReadOnlyList<MigrationSummary> Shorten(IReadOnlyList<MigrationSummary> newestFirst)
    {
        var ended = 0;
        return [.. newestFirst.Where(migration => !migration.Phase.IsEnd() || ended++ < Recent)];
    }
}

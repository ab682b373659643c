using System.CommandLine;
using DistMigrate.Client.Output;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate status</c>.</summary>
internal static class StatusCommand
{
    public static Command Create(CommandRunner runner)
    {
        var id = new Argument<string?>("ID")
        {
            Description = "Id of the migration; without it, the host and what is unfinished",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var host = CommonOptions.Host();
        var command = new Command("status", "Show a migration, or a host and its unfinished migrations.") { id, host };
        runner.Attach(command, async invocation =>
        {
            var settings = invocation.LoadSettings();
            await using var connection = await invocation.ConnectAsync(settings);
            if (invocation.Get(id) is { } migration)
                return await ShowMigrationAsync(invocation, new MigrationRun(invocation, connection), migration);

            var hostName = CommonOptions.ChooseHost(invocation.Get(host), connection, settings);
            var status = await connection.CallAsync(grains => grains.GetGrain<IHostGrain>(hostName).GetStatus(), invocation.Cancellation);
            var migrations = await CatalogReader.ReadAsync(connection, invocation.Cancellation);
            invocation.Terminal.Show(status, [.. migrations.Where(m => !m.Phase.IsEnd())], invocation.Time);
            return ExitCode.Ok;
        });
        return command;
    }

    private static async Task<int> ShowMigrationAsync(Invocation invocation, MigrationRun run, string id)
    {
        var status = await run.StatusAsync(id);
        invocation.Terminal.Show(status, invocation.Time);
        // That it failed is an answer here, not a failure of this command.
        run.Conclude(status);
        return ExitCode.Ok;
    }
}

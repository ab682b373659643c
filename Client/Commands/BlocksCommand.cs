using System.CommandLine;
using DistMigrate.Client.Output;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate blocks</c>.</summary>
internal static class BlocksCommand
{
    public static Command Create(CommandRunner runner)
    {
        var id = CommonOptions.Id();
        var failed = new Option<bool>("--failed") { Description = "Only those with pages that wait to be written again after a failure, and what was written of them why" };
        var command = new Command("blocks", "Show the RAMBlocks of a migration and their pages by state.") { id, failed };
        runner.Attach(command, async invocation =>
        {
            await using var connection = await invocation.ConnectAsync();
            var migration = invocation.Get(id);
            var blocks = await connection.CallAsync(
                grains => grains.GetGrain<IMigrationGrain>(migration).GetBlocks(), invocation.Cancellation);
            if (blocks.Count == 0)
                invocation.Terminal.Say("its RAMBlocks are not known (yet, or any longer)");
            var shown = invocation.Get(failed) ? [.. blocks.Where(block => block.FailedPages > 0)] : blocks;
            if (blocks.Count > 0 && shown.Count == 0)
                invocation.Terminal.Say("no page waits to be written again");
            if (shown.Count > 0 || invocation.Terminal.Format == OutputFormat.Json)
                invocation.Terminal.Show(migration, shown, invocation.Get(failed));
            return ExitCode.Ok;
        });
        return command;
    }
}

using System.CommandLine;
using DistMigrate.Client.Output;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate cancel</c>.</summary>
internal static class CancelCommand
{
    public static Command Create(CommandRunner runner)
    {
        var id = CommonOptions.Id();
        var wait = CommonOptions.Wait();
        var detach = new Option<bool>("--detach") { Description = "Only ask for it; do not wait until the guest is as it was" };
        var timeout = CommonOptions.Timeout();
        var command = new Command("cancel", "Cancel a migration; the guest's run state is restored.") { id, wait, detach, timeout };
        runner.Attach(command, async invocation =>
        {
            CommonOptions.CheckWaiting(invocation, wait, detach, timeout);
            await using var connection = await invocation.ConnectAsync();
            var run = new MigrationRun(invocation, connection);
            var migration = invocation.Get(id);

            var before = await run.StatusAsync(migration);
            if (before.Phase.IsEnd())
            {
                invocation.Terminal.Show(before, invocation.Time);
                invocation.Terminal.Say($"{migration} had ended already: {before.Phase.ToName()}");
                return ExitCode.Ok;
            }
            var asked = await connection.CallAsync(
                grains => grains.GetGrain<IMigrationGrain>(migration).Cancel(), invocation.Cancellation);
            if (invocation.Get(detach) && !asked.Phase.IsEnd())
            {
                invocation.Terminal.Show(asked, invocation.Time);
                return ExitCode.Ok;
            }
            var exitCode = await run.FollowAsync(migration, invocation.Get(timeout));
            // Cancelled is what was wanted.
            return exitCode == ExitCode.Cancelled ? ExitCode.Ok : exitCode;
        });
        return command;
    }
}

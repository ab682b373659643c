using System.CommandLine;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate complete</c>.</summary>
internal static class CompleteCommand
{
    public static Command Create(CommandRunner runner)
    {
        var id = CommonOptions.Id();
        var wait = CommonOptions.Wait();
        var detach = new Option<bool>("--detach") { Description = "Only ask for it; do not wait for the end" };
        var timeout = CommonOptions.Timeout();
        var command = new Command("complete", "End a live save now: the guest is stopped and what is left is written, however long that takes.")
        {
            id, wait, detach, timeout,
        };
        runner.Attach(command, async invocation =>
        {
            CommonOptions.CheckWaiting(invocation, wait, detach, timeout);
            await using var connection = await invocation.ConnectAsync();
            var migration = invocation.Get(id);
            await connection.CallAsync(grains => grains.GetGrain<IMigrationGrain>(migration).Complete(), invocation.Cancellation);
            return invocation.Get(detach) ? ExitCode.Ok : await new MigrationRun(invocation, connection).FollowAsync(migration, invocation.Get(timeout));
        });
        return command;
    }
}

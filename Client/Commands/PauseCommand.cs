using System.CommandLine;
using DistMigrate.Client.Output;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate pause</c>.</summary>
internal static class PauseCommand
{
    public static Command Create(CommandRunner runner)
    {
        var id = CommonOptions.Id();
        var wait = CommonOptions.Wait();
        var detach = new Option<bool>("--detach") { Description = "Only ask for it; do not wait until the guest is as it was" };
        var timeout = CommonOptions.Timeout();
        var command = new Command("pause", "Pause a save: the guest gets its run state back, the work done is kept. Nothing goes on before 'resume'.")
        {
            id, wait, detach, timeout,
        };
        runner.Attach(command, async invocation =>
        {
            CommonOptions.CheckWaiting(invocation, wait, detach, timeout);
            await using var connection = await invocation.ConnectAsync();
            var run = new MigrationRun(invocation, connection);
            var migration = invocation.Get(id);

            var asked = await connection.CallAsync(
                grains => grains.GetGrain<IMigrationGrain>(migration).Pause(), invocation.Cancellation);
            if (asked.Phase.IsEnd())
            {
                invocation.Terminal.Show(asked, invocation.Time);
                invocation.Terminal.Say($"{migration} had ended already: {asked.Phase.ToName()}");
                return ExitCode.Ok;
            }
            if (invocation.Get(detach))
            {
                invocation.Terminal.Show(asked, invocation.Time);
                return ExitCode.Ok;
            }
            var exitCode = await run.FollowAsync(migration, invocation.Get(timeout));
            // Paused is what was wanted.
            return exitCode == ExitCode.Resumable ? ExitCode.Ok : exitCode;
        });
        return command;
    }
}

using System.CommandLine;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate adopt</c>.</summary>
internal static class AdoptCommand
{
    public static Command Create(CommandRunner runner)
    {
        var id = CommonOptions.Id();
        var on = new Option<string>("--on") { Description = "Where the guest is to run: the move's source, whose paused guest then goes on, or its target, where it runs already; then its QEMU on the source is ended", HelpName = "HOST", Required = true };
        var wait = CommonOptions.Wait();
        var detach = new Option<bool>("--detach") { Description = "Only say so and print the id; do not wait until it is done" };
        var timeout = CommonOptions.Timeout();
        var command = new Command(
            "adopt",
            "Decide who runs the guest of a move that needs attention. Look at the target first, for nothing can check it for you: a guest that runs twice destroys its disks.")
        {
            id, on, wait, detach, timeout,
        };
        runner.Attach(command, async invocation =>
        {
            CommonOptions.CheckWaiting(invocation, wait, detach, timeout);
            await using var connection = await invocation.ConnectAsync();
            var asked = await connection.CallAsync(
                grains => grains.GetGrain<IMigrationGrain>(invocation.Get(id)).Adopt(invocation.Get(on)), invocation.Cancellation);
            if (!invocation.Get(detach))
                return await new MigrationRun(invocation, connection).FollowAsync(invocation.Get(id), invocation.Get(timeout), wasResumed: true);
            invocation.Terminal.Data(asked.Spec.Id);
            return ExitCode.Ok;
        });
        return command;
    }
}

using System.CommandLine;
using DistMigrate.Client.Output;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate set</c>.</summary>
internal static class SetCommand
{
    public static Command Create(CommandRunner runner)
    {
        var id = CommonOptions.Id();
        var downtime = CommonOptions.Duration("--max-downtime", "How long the guest may stand still at the end, such as 500ms", mayBeZero: false);
        downtime.Required = true;
        var command = new Command("set", "Change the limits of a live save while it runs.")
        {
            id, downtime,
        };
        runner.Attach(command, async invocation =>
        {
            await using var connection = await invocation.ConnectAsync();
            var migration = invocation.Get(id);
            var limit = invocation.Get(downtime)!.Value;
            var status = await connection.CallAsync(
                grains => grains.GetGrain<IMigrationGrain>(migration).SetMaxDowntime(limit), invocation.Cancellation);
            invocation.Terminal.Show(status, invocation.Time);
            return ExitCode.Ok;
        });
        return command;
    }
}

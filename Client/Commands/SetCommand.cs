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
        var rate = CommonOptions.Rate("--bwlimit", "Guest pages written per second at most, such as 500MiB/s or 1G; 0 for no limit", mayBeZero: true);
        var command = new Command("set", "Change the limits of a save or move while it runs.")
        {
            id, downtime, rate,
        };
        runner.Attach(command, async invocation =>
        {
            var limits = new MigrationLimits(invocation.Get(downtime), invocation.Get(rate));
            if (limits is { MaxDowntime: null, BandwidthLimit: null })
                throw CommandException.Usage("no limit is named.", "give --max-downtime, --bwlimit, or both");
            await using var connection = await invocation.ConnectAsync();
            var migration = invocation.Get(id);
            var status = await connection.CallAsync(
                grains => grains.GetGrain<IMigrationGrain>(migration).SetLimits(limits), invocation.Cancellation);
            invocation.Terminal.Show(status, invocation.Time);
            return ExitCode.Ok;
        });
        return command;
    }
}

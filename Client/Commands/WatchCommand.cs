using System.CommandLine;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate watch</c>.</summary>
internal static class WatchCommand
{
    public static Command Create(CommandRunner runner)
    {
        var id = CommonOptions.Id();
        var timeout = CommonOptions.Timeout();
        var command = new Command("watch", "Follow a migration until it has ended; the exit code is that of the migration.") { id, timeout };
        runner.Attach(command, async invocation =>
        {
            await using var connection = await invocation.ConnectAsync();
            return await new MigrationRun(invocation, connection).FollowAsync(invocation.Get(id), invocation.Get(timeout));
        });
        return command;
    }
}

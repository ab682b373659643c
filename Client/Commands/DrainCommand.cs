using System.CommandLine;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate drain</c>.</summary>
internal static class DrainCommand
{
    public static Command Create(CommandRunner runner)
    {
        var host = new Argument<string>("HOST") { Description = "Host that all guests are to leave" };
        var parallel = CommonOptions.Number("--max-parallel", "Moves at the same time, 1 to 64; the hosts' own limits hold as well", 1, 64, 2);
        var writing = new WriteOptions();
        var command = new Command(
            "drain",
            "Move every running guest that a host knows off it, each to the host that then has the most free memory, or to the next one where that refuses. "
            + "It can be interrupted and repeated: what is under way goes on, and is not begun twice.")
        {
            host, parallel,
        };
        writing.AddTo(command);
        runner.Attach(command, async invocation =>
        {
            await using var connection = await invocation.ConnectAsync();
            using var drain = new DrainRun(invocation, connection, invocation.Get(host), writing.Read(invocation));
            return await drain.RunAsync(invocation.Get(parallel));
        });
        return command;
    }
}

using System.CommandLine;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate manual</c>, for who makes a package: not shown in the help.</summary>
internal static class ManualCommand
{
    public static Command Create(CommandRunner runner, RootCommand root)
    {
        var command = new Command("manual", "Print the manual page distmigrate(1) as roff.") { Hidden = true };
        runner.Attach(command, invocation =>
        {
            invocation.Terminal.Data(ManualPage.Of(root));
            return Task.FromResult(ExitCode.Ok);
        });
        return command;
    }
}

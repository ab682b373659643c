using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using DistMigrate.Client.Output;

namespace DistMigrate.Client.Commands;

/// <summary>The command <c>distmigrate</c>: its subcommands, and what every one of them has in common.</summary>
internal static class CommandLine
{
    /// <summary>Runs it.</summary>
    /// <returns>The exit code, one of <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> arguments, Surroundings surroundings)
    {
        var root = Create(surroundings);
        var parsed = root.Parse(arguments);
        if (parsed.Action is ParseErrorAction)
            return RejectUsage(parsed, surroundings);
        return await parsed.InvokeAsync(new InvocationConfiguration
        {
            Output = surroundings.Out,
            Error = surroundings.Error,
            EnableDefaultExceptionHandler = false,
            // Ctrl-C is handled by the invocation: the first one detaches.
            ProcessTerminationTimeout = null,
        });
    }

    internal static RootCommand Create(Surroundings surroundings)
    {
        var runner = new CommandRunner(surroundings);
        var root = new RootCommand(
            "Saves guests of QEMU into mapped-ram images, and restores them from there.\n"
            + "A silo is started in the background when none runs and no cluster is configured.");
        foreach (var help in root.Options.OfType<HelpOption>())
        {
            // Here these are paths.
            help.Aliases.Remove("/h");
            help.Aliases.Remove("/?");
        }
        GlobalOptions.AddTo(root);
        root.Add(SaveCommand.Create(runner));
        root.Add(RestoreCommand.Create(runner));
        root.Add(MoveCommand.Create(runner));
        root.Add(PlanCommand.Create(runner));
        root.Add(StatusCommand.Create(runner));
        root.Add(ListCommand.Create(runner));
        root.Add(HostsCommand.Create(runner));
        root.Add(QueueCommand.Create(runner));
        root.Add(WatchCommand.Create(runner));
        root.Add(BlocksCommand.Create(runner));
        root.Add(PauseCommand.Create(runner));
        root.Add(CompleteCommand.Create(runner));
        root.Add(SetCommand.Create(runner));
        root.Add(ResumeCommand.Create(runner));
        root.Add(CancelCommand.Create(runner));
        root.Add(AdoptCommand.Create(runner));
        root.Add(DrainCommand.Create(runner));
        root.Add(InspectCommand.Create(runner));
        root.Add(VerifyCommand.Create(runner));
        root.Add(GcCommand.Create(runner));
        root.Add(DoctorCommand.Create(runner));
        root.Add(DoctorProbeCommand.Create(runner));
        root.Add(DemoCommand.Create(runner));
        root.Add(VersionCommand.Create(runner));
        root.Add(CompletionCommand.Create(runner));
        root.Add(ManualCommand.Create(runner, root));
        return root;
    }

    private static int RejectUsage(ParseResult parsed, Surroundings surroundings)
    {
        var terminal = new Terminal(surroundings, OutputFormat.Table, noColor: parsed.GetValue(GlobalOptions.NoColor));
        var names = new List<string>();
        for (var command = parsed.CommandResult; command is not null; command = command.Parent as System.CommandLine.Parsing.CommandResult)
            names.Insert(0, command.Command.Name);
        names[0] = "distmigrate";
        var errors = parsed.Errors
            // The parser breaks some messages into lines.
            .Select(error => string.Join(' ', error.Message.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)))
            .ToList();
        for (var i = 0; i < errors.Count; i++)
            terminal.Fail(errors[i], i == errors.Count - 1 ? $"see {string.Join(' ', names)} --help" : null);
        return ExitCode.Usage;
    }
}

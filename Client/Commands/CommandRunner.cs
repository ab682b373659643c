using System.CommandLine;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary>Runs the body of a command and turns whatever it throws into a message and an exit code.</summary>
internal sealed class CommandRunner(Surroundings surroundings)
{
    /// <summary>Makes <paramref name="body"/> what the command does.</summary>
    public void Attach(Command command, Func<Invocation, Task<int>> body) =>
        command.SetAction((parsed, _) => RunAsync(parsed, body));

    private async Task<int> RunAsync(ParseResult parsed, Func<Invocation, Task<int>> body)
    {
        var terminal = GlobalOptions.TerminalOf(parsed, surroundings);
        using var interrupts = new Interrupts();
        try
        {
            return await body(new Invocation(surroundings, terminal, parsed, interrupts.Token));
        }
        catch (CommandException e)
        {
            terminal.Fail(e.Message, e.Hint);
            return e.ExitCode;
        }
        catch (MigrationException e)
        {
            terminal.Fail(e.Message, FailureHints.Of(e.Reason));
            return ExitCodes.OfReceived(e.Reason);
        }
        catch (OperationCanceledException) when (interrupts.Token.IsCancellationRequested)
        {
            terminal.Say("interrupted");
            return ExitCode.Detached;
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            terminal.Fail(
                $"a fault of distmigrate itself: {e.GetType().Name}: {e.Message}",
                surroundings.NonEmpty("DISTMIGRATE_DEBUG") is null ? "run it again with DISTMIGRATE_DEBUG=1 and report what it prints" : null);
            if (surroundings.NonEmpty("DISTMIGRATE_DEBUG") is not null)
                surroundings.Error.WriteLine(e);
            return ExitCode.Failed;
        }
    }
}

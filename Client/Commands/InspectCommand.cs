using System.CommandLine;
using DistMigrate.Client.Output;
using DistMigrate.MappedRam;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate inspect</c>: works on the file alone.</summary>
internal static class InspectCommand
{
    public static Command Create(CommandRunner runner)
    {
        var image = CommonOptions.Image();
        var command = new Command("inspect", "Show what an image holds: RAMBlocks, pages, sections. Needs no silo.") { image };
        runner.Attach(command, invocation => Task.FromResult(Inspect(invocation, invocation.Surroundings.Absolute(invocation.Get(image)))));
        return command;
    }

    private static int Inspect(Invocation invocation, string path)
    {
        using var input = ImageFile.Open(path);
        try
        {
            invocation.Terminal.Show(path, input.Length, ImageFile.AllocatedBytes(path), MappedRamImage.Read(input));
            return ExitCode.Ok;
        }
        catch (ImageFormatException e)
        {
            throw new CommandException(ExitCode.Malformed, e.Message, $"'distmigrate verify {path}' lists everything that is wrong with it");
        }
        catch (IOException e)
        {
            throw ImageFile.Unreadable(path, e);
        }
    }
}

using System.CommandLine;
using DistMigrate.Client.Output;
using DistMigrate.MappedRam;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate verify</c>: works on the file alone.</summary>
internal static class VerifyCommand
{
    public static Command Create(CommandRunner runner)
    {
        var image = CommonOptions.Image();
        var command = new Command("verify", "Check the structure of an image. Needs no silo.") { image };
        runner.Attach(command, invocation => Task.FromResult(Verify(invocation, invocation.Surroundings.Absolute(invocation.Get(image)))));
        return command;
    }

    /// <summary>Checks an image and shows the verdict.</summary>
    /// <exception cref="CommandException">It cannot be read.</exception>
    public static int Verify(Invocation invocation, string path)
    {
        using var input = ImageFile.Open(path);
        try
        {
            var violations = ImageVerifier.Verify(input);
            var image = violations.Count == 0 ? MappedRamImage.Read(input) : null;
            invocation.Terminal.ShowVerdict(path, image, violations);
            if (image is not null)
                return ExitCode.Ok;
            invocation.Terminal.Fail(
                violations.Count == 1 ? $"{path} has a malformation." : $"{path} has {violations.Count} malformations.",
                "do not load it: QEMU does not check all of this, and may crash or load a part of the memory; save the guest again");
            return ExitCode.Malformed;
        }
        catch (IOException e)
        {
            throw ImageFile.Unreadable(path, e);
        }
    }
}

using System.CommandLine;
using DistMigrate.Client.Output;
using DistMigrate.Client.Values;
using DistMigrate.MappedRam;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate verify</c>: works on the files alone.</summary>
internal static class VerifyCommand
{
    public static Command Create(CommandRunner runner)
    {
        var image = CommonOptions.Image();
        var deep = new Option<bool>("--deep") { Description = "Also prove every page against IMAGE.checksums, reading what storage holds past the page cache" };
        var command = new Command("verify", "Check the structure of an image, and with --deep every page. Needs no silo.") { image, deep };
        runner.Attach(command, invocation => VerifyAsync(invocation, invocation.Surroundings.Absolute(invocation.Get(image)), invocation.Get(deep)));
        return command;
    }

    /// <summary>Checks an image and shows the verdict.</summary>
    /// <exception cref="CommandException">It, or its checksums, cannot be read.</exception>
    private static async Task<int> VerifyAsync(Invocation invocation, string path, bool deep)
    {
        using var input = ImageFile.Open(path);
        try
        {
            var violations = ImageVerifier.Verify(input);
            var image = violations.Count == 0 ? MappedRamImage.Read(input) : null;
            var pages = image is not null && deep ? await DeepCheck.RunAsync(invocation, path, image) : null;
            invocation.Terminal.ShowVerdict(path, image, violations, pages);
            if (image is null)
            {
                invocation.Terminal.Fail(
                    violations.Count == 1 ? $"{path} has a malformation." : $"{path} has {violations.Count} malformations.",
                    "do not load it: QEMU does not check all of this, and may crash or load a part of the memory; save the guest again");
                return ExitCode.Malformed;
            }
            if (pages is { Bad: > 0 })
            {
                invocation.Terminal.Fail(
                    pages.Bad == 1 ? $"a page of {path} is not what was saved." : $"{Printable.Count(pages.Bad)} pages of {path} are not what was saved.",
                    "do not load it: the guest would go on with wrong memory; use another copy, or save the guest again");
                return ExitCode.Malformed;
            }
            return ExitCode.Ok;
        }
        catch (IOException e)
        {
            throw ImageFile.Unreadable(path, e);
        }
    }
}

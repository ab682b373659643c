using System.CommandLine;
using DistMigrate.Client.Demo;
using DistMigrate.Client.Values;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate demo</c>.</summary>
internal static class DemoCommand
{
    private const long LeastMemory = 16L << 20;
    private const long DefaultMemory = 256L << 20;
    private const long MostMemory = 2L << 30;

    public static Command Create(CommandRunner runner)
    {
        var memory = new Option<long?>("--memory")
        {
            Description = "Memory of the guest, 16MiB to 2GiB [default: 256MiB]",
            HelpName = "SIZE",
            CustomParser = result =>
            {
                var text = result.Tokens[0].Value;
                if (ByteSize.TryParse(text, out var size) && size is >= LeastMemory and <= MostMemory && size % (1 << 20) == 0)
                    return size;
                result.AddError($"'{text}' is not a size that the demo can take; write whole MiB from 16MiB to 2GiB.");
                return null;
            },
        };
        var keep = new Option<bool>("--keep") { Description = "Leave the folder with the image and the logs behind" };
        var command = new Command(
            "demo", "Save a real guest into an image, load that into a second QEMU, compare every page, and let the guest run on. Needs no configuration.")
        {
            memory, keep,
        };
        runner.Attach(command, invocation => DemoRun.RunAsync(invocation, invocation.Get(memory) ?? DefaultMemory, invocation.Get(keep)));
        return command;
    }
}

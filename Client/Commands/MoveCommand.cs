using System.CommandLine;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate move</c>.</summary>
internal static class MoveCommand
{
    public static Command Create(CommandRunner runner)
    {
        var guest = new Argument<string>("GUEST") { Description = "Name of the guest; any name with --qmp, else one that a host knows" };
        guest.Validators.Add(result => CommonOptions.CheckGuestName(result, result.GetValueOrDefault<string>()));
        var to = new Option<string>("--to") { Description = "Host that the guest goes to", HelpName = "HOST", Required = true };
        var from = CommonOptions.Host();
        from.Description = "Host that the guest runs on [default: the one that knows the guest]";
        from.Aliases.Add("--from");
        var qmp = new Option<string?>("--qmp")
        {
            Description = "The guest's monitor socket on its host; then name that host by --from [default: as the host knows the guest]",
            HelpName = "PATH",
        };
        var targetQmp = new Option<string?>("--target-qmp")
        {
            Description = "Monitor socket of a QEMU that waits on the target with -incoming defer [default: the target launches one like the guest's own]",
            HelpName = "PATH",
        };
        var image = new Option<string?>("--image")
        {
            Description = "Path of the image, on storage that both hosts see there [default: a name of its own below the first storage root]",
            HelpName = "PATH",
        };
        var keep = new Option<bool>("--keep-image") { Description = "Leave the image where it is once the guest runs on the target" };
        var fullLoad = FullLoad();
        var channels = CommonOptions.Number("--channels", "QEMU's multifd channels, 1 to 64; 0 loads without multifd", 0, 64, new RestoreOptions().Channels);
        var writing = new WriteOptions();
        var wait = CommonOptions.Wait();
        var detach = CommonOptions.Detach();
        var timeout = CommonOptions.Timeout();

        var command = new Command("move", "Move a guest to another host: it is stopped, saved, loaded and proven there, and runs on; then its first QEMU is ended. Whatever fails before, it goes on where it was.")
        {
            guest, to, from, qmp, targetQmp, image, keep, fullLoad, channels, wait, detach, timeout,
        };
        writing.AddTo(command);
        runner.Attach(command, async invocation =>
        {
            CommonOptions.CheckWaiting(invocation, wait, detach, timeout);
            var request = new MigrationRequest(
                MigrationKind.Move,
                invocation.Get(guest),
                invocation.Absolute(invocation.Get(qmp)),
                invocation.Absolute(invocation.Get(image)) ?? "",
                writing.Read(invocation),
                new RestoreOptions(invocation.Get(channels)),
                new MoveOptions(invocation.Get(to), invocation.Absolute(invocation.Get(targetQmp)), invocation.Get(keep), invocation.Get(fullLoad)));
            var settings = invocation.LoadSettings();
            await using var connection = await invocation.ConnectAsync(settings);
            var source = await new SourceHost(invocation, connection, settings).FindAsync(request, invocation.Get(from));
            return await new MigrationRun(invocation, connection).StartAsync(source, request, invocation.Get(detach), invocation.Get(timeout));
        });
        return command;
    }

    internal static Option<bool> FullLoad() => new("--full-load")
    {
        Description = "Agree that the guest stands still for the load of the whole image, where the target's QEMU cannot be filled before",
    };
}

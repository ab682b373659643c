using System.CommandLine;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate save</c>.</summary>
internal static class SaveCommand
{
    public static Command Create(CommandRunner runner)
    {
        var guest = new Argument<string>("GUEST") { Description = "Name of the guest; any name with --qmp, else one that the host knows" };
        guest.Validators.Add(result => CommonOptions.CheckGuestName(result, result.GetValueOrDefault<string>()));
        var image = new Argument<string>("IMAGE") { Description = "Path of the image to write, below one of the host's storage roots" };
        var qmp = new Option<string?>("--qmp")
        {
            Description = "The guest's monitor socket on the host (-qmp unix:PATH,server=on,wait=off) [default: as the host knows the guest]",
            HelpName = "PATH",
        };
        var host = CommonOptions.Host();
        var then = WriteOptions.Then("What becomes of the guest once the image is published; after 'run' its disks move on while the image does not");
        var writing = new WriteOptions();
        var force = new Option<bool>("--force") { Description = "Replace a published image of that name" };
        var wait = CommonOptions.Wait();
        var detach = CommonOptions.Detach();
        var timeout = CommonOptions.Timeout();

        var command = new Command("save", "Save a guest into an image.")
        {
            guest, image, qmp, host, then, force, wait, detach, timeout,
        };
        writing.AddTo(command);
        runner.Attach(command, async invocation =>
        {
            CommonOptions.CheckWaiting(invocation, wait, detach, timeout);
            var options = writing.Read(invocation, then, invocation.Get(force));
            var request = new MigrationRequest(
                MigrationKind.Save,
                invocation.Get(guest),
                invocation.Absolute(invocation.Get(qmp)),
                invocation.Surroundings.Absolute(invocation.Get(image)),
                options,
                Restore: null);
            if (options.After == AfterSave.Run)
                invocation.Terminal.Warn(
                    "the guest runs on after the save, so its disks move on while the image does not; restore it only with disks of the same moment");
            var settings = invocation.LoadSettings();
            await using var connection = await invocation.ConnectAsync(settings);
            return await new MigrationRun(invocation, connection).StartAsync(
                CommonOptions.ChooseHost(invocation.Get(host), connection, settings), request, invocation.Get(detach), invocation.Get(timeout));
        });
        return command;
    }
}

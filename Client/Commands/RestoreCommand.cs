using System.CommandLine;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate restore</c>.</summary>
internal static class RestoreCommand
{
    public static Command Create(CommandRunner runner)
    {
        var image = CommonOptions.Image();
        var qmp = new Option<string?>("--qmp")
        {
            Description = "Monitor socket of a QEMU that waits with -incoming defer [default: the host launches one, from its definition of the guest or else as the saved one was]",
            HelpName = "PATH",
        };
        var guest = new Option<string?>("--guest")
        {
            Description = "Name of the guest [default: the image's file name without extension]",
            HelpName = "NAME",
        };
        guest.Validators.Add(result => CommonOptions.CheckGuestName(result, result.GetValueOrDefault<string?>()));
        var host = CommonOptions.Host();
        host.Aliases.Add("--on");
        host.Description = "Host that the guest is to run on, which sees the image [default: this machine's silo, else DISTMIGRATE_HOST, else the configuration file]";
        var channels = CommonOptions.Number("--channels", "QEMU's multifd channels, 1 to 64; 0 loads without multifd", 0, 64, new RestoreOptions().Channels);
        var directIo = new Option<bool>("--direct-io") { Description = "Let QEMU read past its page cache (O_DIRECT); needs channels" };
        var ignoreClaim = new Option<bool>("--ignore-claim")
        {
            Description = "Run the guest although somebody else holds the claim to run it from this image; two guests on the same disks destroy them",
        };
        var paused = new Option<bool>("--paused") { Description = "Leave the guest paused after the load" };
        var ignoreMismatch = new Option<bool>("--ignore-mismatch")
        {
            Description = "Load although the waiting QEMU differs from the image's manifest; the differences are reported",
        };
        var lazy = new Option<bool>("--lazy")
        {
            Description = "Let the guest run at once, with the image mapped as its memory: it pays for each page when it touches it, and the image has to stay",
        };
        var prefetch = new Option<bool>("--prefetch") { Description = "With --lazy: read the image into the page cache while the guest runs" };
        var wait = CommonOptions.Wait();
        var detach = CommonOptions.Detach();
        var timeout = CommonOptions.Timeout();

        var command = new Command("restore", "Load an image into a QEMU that waits, or that the host launches, and let the guest run on there.")
        {
            image, qmp, guest, host, channels, directIo, ignoreClaim, paused, ignoreMismatch, lazy, prefetch, wait, detach, timeout,
        };
        runner.Attach(command, async invocation =>
        {
            CommonOptions.CheckWaiting(invocation, wait, detach, timeout);
            if (invocation.Get(directIo) && invocation.Get(channels) == 0)
                throw CommandException.Usage(
                    "--direct-io needs channels: QEMU reads past its page cache through multifd only.", "leave out one of --direct-io and --channels 0");
            if (invocation.Get(prefetch) && !invocation.Get(lazy))
                throw CommandException.Usage("--prefetch reads an image in advance from which a guest runs.", "add --lazy");
            if (invocation.Get(lazy) && invocation.Get(qmp) is not null)
                throw CommandException.Usage("--lazy needs a QEMU that the host launches.", "leave out --qmp");
            var options = new RestoreOptions(
                invocation.Get(channels),
                invocation.Get(directIo) ? DirectIo.On : DirectIo.Auto,
                invocation.Get(ignoreClaim),
                invocation.Get(paused),
                invocation.Get(ignoreMismatch),
                invocation.Get(lazy),
                invocation.Get(prefetch));
            var imagePath = invocation.Surroundings.Absolute(invocation.Get(image));
            var request = new MigrationRequest(
                MigrationKind.Restore,
                invocation.Get(guest) ?? GuestName.OfImage(imagePath),
                invocation.Absolute(invocation.Get(qmp)),
                imagePath,
                Save: null,
                options);
            if (options.IgnoreClaim)
                invocation.Terminal.Warn(
                    "the claim on the image is ignored: if another guest runs from it and writes to the same disks, both are destroyed");
            var settings = invocation.LoadSettings();
            await using var connection = await invocation.ConnectAsync(settings);
            return await new MigrationRun(invocation, connection).StartAsync(
                CommonOptions.ChooseHost(invocation.Get(host), connection, settings), request, invocation.Get(detach), invocation.Get(timeout));
        });
        return command;
    }
}

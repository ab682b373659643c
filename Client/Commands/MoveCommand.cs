using System.CommandLine;
using DistMigrate.Client.Connection;
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
            Description = "The guest's monitor socket on its host [default: as the host knows the guest]",
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
        var channels = CommonOptions.Number("--channels", "QEMU's multifd channels, 1 to 64; 0 loads without multifd", 0, 64, new RestoreOptions().Channels);
        var writing = new WriteOptions();
        var wait = CommonOptions.Wait();
        var detach = CommonOptions.Detach();
        var timeout = CommonOptions.Timeout();

        var command = new Command("move", "Move a guest to another host: it is stopped, saved, loaded there, and its QEMU here is ended.")
        {
            guest, to, from, qmp, targetQmp, image, keep, channels, wait, detach, timeout,
        };
        writing.AddTo(command);
        runner.Attach(command, async invocation =>
        {
            CommonOptions.CheckWaiting(invocation, wait, detach, timeout);
            var request = new MigrationRequest(
                MigrationKind.Move,
                invocation.Get(guest),
                Absolute(invocation, invocation.Get(qmp)),
                Absolute(invocation, invocation.Get(image)) ?? "",
                writing.Read(invocation),
                new RestoreOptions(invocation.Get(channels)),
                new MoveOptions(invocation.Get(to), Absolute(invocation, invocation.Get(targetQmp)), invocation.Get(keep)));
            var settings = invocation.LoadSettings();
            await using var connection = await invocation.ConnectAsync(settings);
            var source = invocation.Get(from)
                ?? (request.QmpPath is null ? await FindHostAsync(connection, request.Guest, invocation.Cancellation) : null)
                ?? CommonOptions.ChooseHost(null, connection, settings);
            return await new MigrationRun(invocation, connection).StartAsync(source, request, invocation.Get(detach), invocation.Get(timeout));
        });
        return command;
    }

    private static string? Absolute(Invocation invocation, string? path) => path is null ? null : invocation.Surroundings.Absolute(path);

    /// <summary>The host that knows the guest; null when none does.</summary>
    /// <exception cref="CommandException">More than one does.</exception>
    private static async Task<string?> FindHostAsync(SiloConnection connection, string guest, CancellationToken cancellation)
    {
        var hosts = await HostsCommand.AskAllAsync(connection, cancellation);
        var found = hosts.Where(host => host.Status?.Guests.Contains(guest) == true).Select(host => host.Presence.Host).ToList();
        return found.Count <= 1 ? found.FirstOrDefault() : throw CommandException.Usage(
            $"several hosts know a guest {guest}: {string.Join(", ", found)}.", "name the one that it runs on by --from");
    }
}

using System.CommandLine;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate plan</c>.</summary>
internal static class PlanCommand
{
    public static Command Create(CommandRunner runner)
    {
        var guest = new Argument<string>("GUEST") { Description = "Name of the guest; any name with --qmp, else one that a host knows" };
        guest.Validators.Add(result => CommonOptions.CheckGuestName(result, result.GetValueOrDefault<string>()));
        var image = new Argument<string?>("IMAGE") { Description = "Path of the image; a move needs none", Arity = ArgumentArity.ZeroOrOne };
        var to = new Option<string?>("--to") { Description = "Host that the guest would go to [default: it would be saved]", HelpName = "HOST" };
        var host = CommonOptions.Host();
        host.Description = "Host that the guest runs on [default: the one that knows the guest, or this machine's]";
        host.Aliases.Add("--from");
        var qmp = new Option<string?>("--qmp") { Description = "The guest's monitor socket on its host [default: as the host knows the guest]", HelpName = "PATH" };
        var targetQmp = new Option<string?>("--target-qmp")
        {
            Description = "Monitor socket of a QEMU that waits on the target with -incoming defer [default: the target launches one, and ends it again]",
            HelpName = "PATH",
        };
        var then = WriteOptions.Then("What would become of a guest that is saved");
        var fullLoad = MoveCommand.FullLoad();
        var writing = new WriteOptions();
        var timeout = CommonOptions.Timeout();

        var command = new Command("plan", "Examine what a save, or with --to a move, would examine before it touches the guest, and tell what is to be expected. Exit code 3: it would be refused.")
        {
            guest, image, to, host, qmp, targetQmp, then, fullLoad, timeout,
        };
        writing.AddTo(command);
        runner.Attach(command, async invocation =>
        {
            var target = invocation.Get(to);
            if (target is null && invocation.Get(image) is null)
                throw CommandException.Usage("neither an image nor a target is named.", "name the image that the guest would be saved into, or by --to the host that it would go to");
            var request = new MigrationRequest(
                MigrationKind.Plan,
                invocation.Get(guest),
                invocation.Absolute(invocation.Get(qmp)),
                invocation.Absolute(invocation.Get(image)) ?? "",
                writing.Read(invocation, then),
                target is null ? null : new RestoreOptions(),
                target is null ? null : new MoveOptions(target, invocation.Absolute(invocation.Get(targetQmp)), AcceptsFullLoad: invocation.Get(fullLoad)));
            var settings = invocation.LoadSettings();
            await using var connection = await invocation.ConnectAsync(settings);
            var source = await new SourceHost(invocation, connection, settings).FindAsync(request, invocation.Get(host));
            return await new MigrationRun(invocation, connection).StartAsync(source, request, detach: false, invocation.Get(timeout));
        });
        return command;
    }
}

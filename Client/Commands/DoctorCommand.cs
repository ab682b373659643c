using System.CommandLine;
using DistMigrate.Client.Doctor;
using DistMigrate.Client.Doctor.Storage;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate doctor</c>: looks at this host, a guest and folders, and needs no silo.</summary>
internal static class DoctorCommand
{
    public static Command Create(CommandRunner runner)
    {
        var folders = new Argument<string[]>("FOLDER") { Description = "Folders for images", Arity = ArgumentArity.ZeroOrMore };
        var qmp = new Option<string?>("--qmp") { Description = "Also look at the guest behind this monitor socket", HelpName = "SOCKET" };
        var hold = new Option<bool>("--hold") { Description = "Only hold a lock in FOLDER until Ctrl-C, for a look at it from another host" };
        var peer = new Option<string?>("--peer") { Description = "Also look whether the lock that this host holds by --hold keeps us out", HelpName = "HOST" };
        var command = new Command(
            "doctor", "Check this host, and folders for images, as the user who runs this: run it as the silo's user. Needs no silo, and leaves nothing behind.")
        {
            folders, qmp, hold, peer,
        };
        runner.Attach(command, invocation =>
        {
            var paths = invocation.Get(folders).Select(path => Path.TrimEndingDirectorySeparator(invocation.Surroundings.Absolute(path))).Distinct().ToList();
            var socket = invocation.Get(qmp);
            if (invocation.Get(peer) is not null && (paths.Count == 0 || invocation.Get(hold)))
                throw CommandException.Usage("--peer looks at a folder, while --hold runs on another host.", "name the folder, and leave --hold away here");
            if (!invocation.Get(hold))
                return DoctorRun.RunAsync(invocation, paths, socket is null ? null : invocation.Surroundings.Absolute(socket), invocation.Get(peer));
            return paths.Count == 1 && socket is null
                ? LockHold.RunAsync(invocation, paths[0])
                : throw CommandException.Usage("--hold takes one folder, and nothing else.", "write: distmigrate doctor FOLDER --hold");
        });
        return command;
    }
}

using System.CommandLine;
using DistMigrate.Client.Doctor.Storage;

namespace DistMigrate.Client.Commands;

/// <summary>What <c>distmigrate doctor</c> runs as processes of their own; not for people.</summary>
internal static class DoctorProbeCommand
{
    public const string Name = "doctor-probe";
    public const string TryLock = "--try-lock";

    public static Command Create(CommandRunner runner)
    {
        var path = new Argument<string>("PATH");
        var peer = new Option<string?>("--peer");
        var hold = new Option<bool>("--hold");
        var tryLock = new Option<bool>(TryLock);
        var command = new Command(Name) { path, peer, hold, tryLock };
        command.Hidden = true;
        runner.Attach(command, invocation => Task.FromResult(invocation.Get(tryLock)
            ? LockCheck.Try(invocation.Get(path))
            : FolderProbe.Run(invocation.Get(path), invocation.Get(peer), invocation.Get(hold), invocation.Surroundings, Console.In)));
        return command;
    }
}

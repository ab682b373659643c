using System.CommandLine;
using System.Reflection;
using System.Runtime.InteropServices;
using DistMigrate.Client.Output;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate version</c>.</summary>
internal static class VersionCommand
{
    public static Command Create(CommandRunner runner)
    {
        var command = new Command("version", "Show the version of this command.");
        runner.Attach(command, invocation =>
        {
            var version = typeof(VersionCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;
            var runtime = RuntimeInformation.FrameworkDescription;
            if (invocation.Terminal.Format == OutputFormat.Json)
                OutputJson.Write(
                    invocation.Terminal, new VersionDocument(OutputJson.Schema, version, runtime), OutputJson.Writing.VersionDocument);
            else
                invocation.Terminal.Data($"distmigrate {version} ({runtime})");
            return Task.FromResult(ExitCode.Ok);
        });
        return command;
    }
}

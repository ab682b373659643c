using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace DistMigrate.Client.Demo;

/// <summary>The programs that the demo needs.</summary>
/// <param name="Qemu">Path of QEMU.</param>
/// <param name="QemuVersion">Its version, such as 10.0.2.</param>
/// <param name="Nasm">Path of the assembler.</param>
internal sealed partial record DemoPrograms(string Qemu, string QemuVersion, string Nasm)
{
    private const string QemuName = "qemu-system-x86_64";
    private const int LeastQemuMajor = 9;

    /// <summary>Finds them in PATH.</summary>
    /// <exception cref="CommandException">One is missing or too old; the hint says what to install.</exception>
    public static async Task<DemoPrograms> FindAsync(Surroundings surroundings, CancellationToken cancellation)
    {
        var qemu = Find(surroundings, QemuName, $"install QEMU {LeastQemuMajor} or newer: on Debian and Ubuntu the package qemu-system-x86 (on Debian 12 from bookworm-backports)");
        var nasm = Find(surroundings, "nasm", "install the package nasm");
        var text = await OutputOfAsync(qemu, ["--version"], cancellation);
        var version = Version().Match(text);
        if (!version.Success)
            throw new CommandException(ExitCode.Refused, $"{qemu} does not tell its version: {Values.Printable.Of(text.Trim())}");
        if (int.Parse(version.Groups[1].Value, CultureInfo.InvariantCulture) < LeastQemuMajor)
            throw new CommandException(
                ExitCode.Refused,
                $"{qemu} is version {version.Value}, which cannot load mapped-ram images.",
                $"install QEMU {LeastQemuMajor} or newer (on Debian 12 from bookworm-backports)");
        return new DemoPrograms(qemu, version.Value, nasm);
    }

    /// <summary>Runs a program to its end and gives what it wrote.</summary>
    /// <exception cref="CommandException">It could not be started or failed.</exception>
    public static async Task<string> OutputOfAsync(string program, IEnumerable<string> arguments, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        try
        {
            using var process = Process.Start(start) ?? throw new InvalidOperationException("no process was started");
            var output = process.StandardOutput.ReadToEndAsync(cancellation);
            var errors = process.StandardError.ReadToEndAsync(cancellation);
            await process.WaitForExitAsync(cancellation);
            if (process.ExitCode != 0)
                throw new CommandException(ExitCode.Failed, $"{program} failed with exit code {process.ExitCode}: {(await errors).Trim()}");
            return await output;
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            throw new CommandException(ExitCode.Refused, $"{program} cannot be started: {e.Message}", "check that it is installed whole", e);
        }
    }

    private static string Find(Surroundings surroundings, string name, string advice) =>
        (surroundings.NonEmpty("PATH") ?? "/usr/local/bin:/usr/bin:/bin")
            .Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, name))
            .FirstOrDefault(File.Exists)
        ?? throw new CommandException(ExitCode.Refused, $"the demo needs {name}, which is not in PATH.", advice);

    [GeneratedRegex(@"\b(\d+)\.\d+\.\d+\b")]
    private static partial Regex Version();
}

using System.ComponentModel;
using System.Diagnostics;
using DistMigrate.Client.Qmp;

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>The QEMU in PATH, asked by its own monitor with no machine and no guest.</summary>
internal static class QemuProgram
{
    private const string Name = "qemu-system-x86_64";

    /// <exception cref="CommandException">There is none, or it does not answer.</exception>
    public static async Task<QemuFacts> AskAsync(Surroundings surroundings, CancellationToken cancellation)
    {
        var program = (surroundings.NonEmpty("PATH") ?? "/usr/local/bin:/usr/bin:/bin")
            .Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(folder => Path.Combine(folder, Name))
            .FirstOrDefault(File.Exists)
            ?? throw new CommandException(
                ExitCode.Refused, $"There is no {Name} in PATH.",
                "install QEMU 9.0 or newer (Debian, Ubuntu: qemu-system-x86); if Launch:Program names one elsewhere, run this with its folder in PATH");
        var start = new ProcessStartInfo(program, ["-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Process process;
        try
        {
            process = Process.Start(start) ?? throw new InvalidOperationException("no process was started");
        }
        catch (Exception e) when (e is Win32Exception or InvalidOperationException)
        {
            throw new CommandException(ExitCode.Refused, $"{program} cannot be started: {e.Message}", "check that it is installed whole", e);
        }

        using (process)
        {
            var errors = process.StandardError.ReadToEndAsync(cancellation);
            try
            {
                var monitor = await QmpMonitor.OpenAsync(process.StandardOutput.BaseStream, process.StandardInput.BaseStream, cancellation);
                var facts = await QemuFacts.AskAsync(program, monitor, cancellation);
                await monitor.ExecuteAsync("quit", cancellation);
                await process.WaitForExitAsync(cancellation);
                return facts;
            }
            catch (Exception e) when (e is CommandException or IOException && process.WaitForExit(TimeSpan.FromSeconds(1)))
            {
                throw new CommandException(
                    ExitCode.Refused, $"{program} ended with exit code {process.ExitCode}: {(await errors).Trim()}", "check that it is installed whole", e);
            }
            finally
            {
                if (!process.HasExited)
                    process.Kill();
            }
        }
    }
}

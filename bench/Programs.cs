using System.ComponentModel;
using System.Diagnostics;

namespace DistMigrate.Bench;

/// <summary>Runs programs to their end.</summary>
internal static class Programs
{
    /// <summary>Runs one and returns what it printed, and how long it took from its start to its end.</summary>
    /// <exception cref="InvalidOperationException">It could not be started or failed; the message holds its stderr.</exception>
    public static async Task<(string Output, TimeSpan Wall)> RunAsync(ProcessStartInfo start, CancellationToken cancellationToken)
    {
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        var began = TimeProvider.System.GetTimestamp();
        try
        {
            using var process = Process.Start(start)!;
            process.StandardInput.Close();
            var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
            var errors = process.StandardError.ReadToEndAsync(cancellationToken);
            try
            {
                await process.WaitForExitAsync(cancellationToken);
            }
            catch (OperationCanceledException)
            {
                process.Kill();
                throw;
            }

            var wall = TimeProvider.System.GetElapsedTime(began);
            return process.ExitCode == 0
                ? (await output, wall)
                : throw new InvalidOperationException(
                    $"{start.FileName} {string.Join(' ', start.ArgumentList)} ended with exit code {process.ExitCode}: {await errors}{await output}");
        }
        catch (Win32Exception e)
        {
            throw new InvalidOperationException($"{start.FileName} cannot be started ({e.Message}): run eng/require bench.", e);
        }
    }

    public static Task<(string Output, TimeSpan Wall)> RunAsync(string program, IEnumerable<string> arguments, CancellationToken cancellationToken) =>
        RunAsync(new ProcessStartInfo(program, arguments), cancellationToken);
}

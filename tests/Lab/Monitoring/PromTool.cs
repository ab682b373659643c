using System.Diagnostics;

namespace DistMigrate.Tests.Lab.Monitoring;

/// <summary>promtool(1), which checks files of Prometheus.</summary>
public static class PromTool
{
    /// <summary>Runs it to its end.</summary>
    /// <param name="arguments">Its arguments.</param>
    /// <returns>Its exit code, and all that it said.</returns>
    /// <exception cref="TimeoutException">It takes longer than <see cref="Wait.Ordinary"/>; it is killed.</exception>
    public static async Task<(int ExitCode, string Output)> RunAsync(params IReadOnlyList<string> arguments)
    {
        if (LabPrograms.Missing(LabNeeds.Prometheus) is { } missing)
        {
            throw new InvalidOperationException(missing);
        }

        using var process = Process.Start(new ProcessStartInfo("promtool", arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync().WaitAsync(Wait.Ordinary);
        }
        catch (TimeoutException)
        {
            process.Kill();
            throw;
        }

        return (process.ExitCode, await output + await errors);
    }
}

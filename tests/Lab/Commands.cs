using System.Diagnostics;
using System.Text;

namespace DistMigrate.Tests.Lab;

/// <summary>Runs the built programs of the product.</summary>
public static class Commands
{
    /// <summary>Path of the built command.</summary>
    public static string ClientProgram { get; } = BuiltProgram("DistMigrate.Client", "distmigrate");

    /// <summary>Path of the built silo.</summary>
    public static string SiloProgram { get; } = BuiltProgram("DistMigrate.Silo", "distmigrate-silo");

    /// <summary>How to start a command; a cluster or file of the person who runs the tests is not what they test.</summary>
    public static ProcessStartInfo Client(IReadOnlyList<string> arguments) => Program(ClientProgram, arguments);

    /// <summary>How to start a silo.</summary>
    public static ProcessStartInfo Silo(IReadOnlyList<string> arguments) => Program(SiloProgram, arguments);

    /// <summary>How to start another program of the repository, under the same conditions.</summary>
    public static ProcessStartInfo Program(string program, IReadOnlyList<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("DISTMIGRATE_", StringComparison.Ordinal)).ToList())
            start.Environment.Remove(name);
        return start;
    }

    /// <summary>Starts a program. Its output is redirected and must be read; the caller disposes it.</summary>
    public static Process Start(ProcessStartInfo start)
    {
        ArgumentNullException.ThrowIfNull(start);
        var process = Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} was not started.");
        process.StandardInput.Close();
        return process;
    }

    /// <summary>Waits for the end of a command.</summary>
    /// <param name="process">The command, of which nothing was read.</param>
    /// <param name="arguments">Its arguments, for messages.</param>
    /// <param name="limit">How long it may take.</param>
    /// <param name="details">Adds what is known to the message when it takes longer.</param>
    /// <param name="cancellationToken">Kills it.</param>
    /// <returns>Exit code and output, whatever they are.</returns>
    /// <exception cref="TimeoutException">It takes longer; it is killed.</exception>
    public static async Task<CommandResult> RunAsync(
        Process process, string arguments, TimeSpan limit, Func<string> details, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(process);
        ArgumentNullException.ThrowIfNull(details);
        var output = new StringBuilder();
        var errorOutput = new StringBuilder();
        process.OutputDataReceived += (_, line) => Append(output, line.Data);
        process.ErrorDataReceived += (_, line) => Append(errorOutput, line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        try
        {
            await process.WaitForExitAsync(cancellationToken).WaitAsync(limit, cancellationToken);
        }
        catch (Exception exception) when (exception is TimeoutException or OperationCanceledException)
        {
            process.Kill();
            if (exception is OperationCanceledException)
                throw;
            throw new TimeoutException(
                $"distmigrate {arguments} took longer than {limit.TotalSeconds:0.#} s.\nstdout: {Text(output)}\nstderr: {Text(errorOutput)}\n{details()}");
        }

        return new CommandResult(arguments, process.ExitCode, Text(output), Text(errorOutput));
    }

    private static void Append(StringBuilder text, string? line)
    {
        lock (text)
        {
            if (line is not null)
                text.AppendLine(line);
        }
    }

    private static string Text(StringBuilder text)
    {
        lock (text)
            return text.ToString();
    }

    // artifacts/bin/PROJECT/CONFIGURATION/ is where this assembly lies, too.
    private static string BuiltProgram(string project, string program)
    {
        var own = new DirectoryInfo(AppContext.BaseDirectory);
        var path = Path.Combine(own.Parent!.Parent!.FullName, project, own.Name, program);
        return File.Exists(path) ? path : throw new InvalidOperationException($"There is no {path}: build the whole solution in the configuration {own.Name}.");
    }
}

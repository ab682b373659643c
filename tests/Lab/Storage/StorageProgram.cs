using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace DistMigrate.Tests.Lab.Storage;

/// <summary>Programs and calls of the operating system that make storage, and faults of storage.</summary>
internal static class StorageProgram
{
    // Most of these programs lie where the search path of a service does not look.
    private static readonly string[] Folders = [.. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':'), "/usr/sbin", "/sbin"];

    /// <summary>The path of a program; null when it is not installed.</summary>
    public static string? Find(string program) =>
        Folders.Where(folder => folder.Length > 0).Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);

    /// <summary>Runs a program to its end and returns what it printed on stdout.</summary>
    /// <exception cref="InvalidOperationException">It could not be started, or its exit code is not 0; the message holds what it printed.</exception>
    public static async Task<string> RunAsync(string program, params IEnumerable<string> arguments)
    {
        using var process = Start(program, arguments);
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode == 0 ? await output : throw Failed(program, process, $"{await error}{await output}");
    }

    /// <summary>The same, for where nothing can be awaited. The program must not print much.</summary>
    public static void Run(string program, params IEnumerable<string> arguments)
    {
        using var process = Start(program, arguments);
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw Failed(program, process, process.StandardError.ReadToEnd());
        }
    }

    /// <summary>Starts a program that stays; what it prints is kept for <paramref name="messages"/>.</summary>
    public static Process Serve(StringBuilder messages, string program, params IEnumerable<string> arguments)
    {
        var process = Start(program, arguments);
        process.OutputDataReceived += Take;
        process.ErrorDataReceived += Take;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;

        void Take(object sender, DataReceivedEventArgs line)
        {
            lock (messages)
            {
                messages.AppendLine(line.Data);
            }
        }
    }

    /// <summary>SIGSTOP.</summary>
    public static void Stall(ProcessIdentity process) => Send(process, Signal.Stop);

    /// <summary>SIGCONT.</summary>
    public static void Resume(ProcessIdentity process) => Send(process, Signal.Continue);

    private static void Send(ProcessIdentity process, Signal signal)
    {
        if (!process.IsAlive || !Signals.Send(process.Pid, signal))
        {
            throw new InvalidOperationException(
                string.Create(CultureInfo.InvariantCulture, $"Process {process.Pid} takes no signal {signal}: it has ended."));
        }
    }

    private static Process Start(string program, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(Find(program) ?? program, arguments)
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            RedirectStandardInput = true,
        };
        start.Environment["PATH"] = string.Join(':', Folders);
        try
        {
            var process = Process.Start(start)!;
            process.StandardInput.Close();
            return process;
        }
        catch (Win32Exception exception)
        {
            throw new InvalidOperationException($"{program} cannot be started ({exception.Message}): run eng/require faults.", exception);
        }
    }

    private static InvalidOperationException Failed(string program, Process process, string printed) => new(string.Create(
        CultureInfo.InvariantCulture,
        $"{program} {string.Join(' ', process.StartInfo.ArgumentList)} ended with exit code {process.ExitCode}: {printed.Trim()}"));
}

using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Programs and calls of the operating system that make and end faults.</summary>
internal static partial class SystemProgram
{
    /// <summary>Runs a program to its end.</summary>
    /// <exception cref="InvalidOperationException">It could not be started, or its exit code is not 0; the message holds its stderr.</exception>
    public static void Run(string program, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true, RedirectStandardInput = true };

        // mkfs and its like are often missing in the search path of a service.
        start.Environment["PATH"] = $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin";
        try
        {
            using var process = Process.Start(start)!;
            process.StandardInput.Close();
            process.OutputDataReceived += (_, _) => { };
            process.BeginOutputReadLine();
            var error = process.StandardError.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode != 0)
                throw new InvalidOperationException($"{string.Join(' ', [program, .. start.ArgumentList])} ended with exit code {process.ExitCode}: {error.Trim()}");
        }
        catch (Win32Exception exception)
        {
            throw new InvalidOperationException($"{program} cannot be started: {exception.Message}", exception);
        }
    }

    /// <summary>Opens a file whatever lock another process has on it; .NET's own open asks for a lock.</summary>
    /// <exception cref="IOException">There is none, or it may not be read.</exception>
    public static SafeFileHandle OpenForReading(string path)
    {
        var descriptor = open(path, 0);
        return descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : throw new IOException($"{path} cannot be opened: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags);
}

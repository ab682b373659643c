using System.Runtime.InteropServices;

namespace DistMigrate.Tests.Lab;

/// <summary>Signals of x86-64 Linux.</summary>
public enum Signal
{
    /// <summary>SIGTERM.</summary>
    Terminate = 15,

    /// <summary>SIGCONT.</summary>
    Continue = 18,

    /// <summary>SIGSTOP.</summary>
    Stop = 19,
}

/// <summary>Sends signals to processes of a test.</summary>
public static partial class Signals
{
    /// <summary>Sends a signal.</summary>
    /// <returns>False when the process is gone.</returns>
    public static bool Send(int pid, Signal signal) => kill(pid, (int)signal) == 0;

    [LibraryImport("libc")]
    private static partial int kill(int pid, int signal);
}

using System.Runtime.InteropServices;

namespace DistMigrate.Posix;

/// <summary>A system call failed. Keeps the call and its errno, which .NET's own file API loses for fsync(2).</summary>
/// <param name="call">The system call's name, such as <c>fsync</c>.</param>
/// <param name="errno">What errno held after it.</param>
/// <param name="subject">What it was called on, most often a path.</param>
public sealed class ErrnoException(string call, Errno errno, string subject)
    : IOException($"{call} of {subject}: {Describe(errno)}")
{
    /// <summary>The system call's name.</summary>
    public string Call { get; } = call;

    /// <summary>The error number.</summary>
    public Errno Errno { get; } = errno;

    /// <summary>What the call was made on.</summary>
    public string Subject { get; } = subject;

    /// <summary>The C library's words for an error number, with its name: <c>No space left on device (ENOSPC)</c>.</summary>
    public static string Describe(Errno errno) =>
        $"{Marshal.GetPInvokeErrorMessage((int)errno)} ({(Enum.IsDefined(errno) ? errno.ToString() : $"errno {(int)errno}")})";
}

using System.Runtime.InteropServices;

namespace DistMigrate.Posix;

// Processes by descriptor. Older C libraries have no functions for these calls, whose numbers are the same on x86-64 and arm64.
public static partial class Libc
{
    private const long PidfdSendSignal = 424;
    private const long PidfdOpen = 434;

    internal static Descriptor OpenProcess(int pid)
    {
        // It is opened with O_CLOEXEC.
        var fd = syscall(PidfdOpen, pid, 0, 0, 0);
        return fd >= 0 ? new Descriptor((int)fd, $"process {pid}") : throw Failure("pidfd_open", $"process {pid}");
    }

    internal static void SignalProcess(Descriptor process, int signal)
    {
        if (syscall(PidfdSendSignal, process.Number, signal, 0, 0) < 0 && LastErrno != Errno.ESRCH)
            throw Failure("pidfd_send_signal", process.Path);
    }

    /// <summary>Whether a read would not wait (poll(2)).</summary>
    internal static unsafe bool IsReadable(Descriptor file)
    {
        const short readable = 1;
        var wanted = new PollEntry { Descriptor = file.Number, Events = readable };
        int result;
        do
            result = poll(&wanted, 1, 0);
        while (result < 0 && Interrupted());
        return result >= 0 ? (wanted.Returned & readable) != 0 : throw Failure("poll", file.Path);
    }

    /// <summary>struct pollfd of poll.h.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct PollEntry
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial long syscall(long number, long first, long second, long third, long fourth);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial int poll(PollEntry* entries, nuint count, int timeout);
}

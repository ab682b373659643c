using System.Runtime.InteropServices;

namespace DistMigrate.Posix;

// What a host and its storage say of themselves. The structures are those of 64-bit Linux.
public static partial class Libc
{
    /// <summary>Space, files and name length of the file system that a path is on.</summary>
    /// <exception cref="ErrnoException">statvfs(3) failed.</exception>
    public static unsafe FileSystemSpace Space(string path)
    {
        StatVfsBuffer buffer = default;
        if (statvfs(path, &buffer) != 0)
            throw Failure("statvfs", path);
        return new FileSystemSpace(
            Bytes(buffer.Blocks, buffer.FragmentSize), Bytes(buffer.AvailableBlocks, buffer.FragmentSize),
            Bytes(buffer.Files, 1), Bytes(buffer.AvailableFiles, 1), (int)Math.Min(buffer.LongestName, int.MaxValue));
    }

    /// <summary>Whether this process may read and write a file, or create files in a folder (faccessat(2), by its effective user).</summary>
    /// <returns><see cref="Errno.None"/>, or why not.</returns>
    public static Errno Access(string path)
    {
        const int readWrite = 4 | 2;
        const int effective = 0x200;
        return faccessat(AtFdCwd, path, readWrite, effective) == 0 ? Errno.None : LastErrno;
    }

    /// <summary>The user whom a file belongs to, and its permission bits.</summary>
    /// <exception cref="ErrnoException">statx(2) failed.</exception>
    public static unsafe (uint User, int Mode) Ownership(Descriptor file)
    {
        StatxBuffer buffer = default;
        const uint modeAndUser = 0x2 | 0x8;
        if (statx(file.Number, "", AtEmptyPath, modeAndUser, &buffer) != 0)
            throw Failure("statx", file.Path);
        return (buffer.User, buffer.Mode & 0xfff);
    }

    /// <summary>The user whose rights this process has.</summary>
    public static uint EffectiveUser() => geteuid();

    /// <summary>Whether something keeps the kernel's clock near true time (adjtimex(2), without STA_UNSYNC).</summary>
    /// <exception cref="ErrnoException">The kernel does not tell.</exception>
    public static unsafe bool IsClockSynchronized()
    {
        const int unsynchronized = 0x40;
        ClockBuffer buffer = default;
        if (adjtimex(&buffer) < 0)
            throw Failure("adjtimex", "the clock");
        return (buffer.Status & unsynchronized) == 0;
    }

    /// <summary>The version of the kernel's interface to virtual machines behind /dev/kvm; 12 since Linux 2.6.22.</summary>
    /// <exception cref="ErrnoException">ioctl(2) failed.</exception>
    public static int KvmVersion(Descriptor kvm)
    {
        const nuint getVersion = 0xae00;
        var version = ioctl(kvm, getVersion, 0);
        return version >= 0 ? version : throw Failure("ioctl", kvm.Path);
    }

    private static long Bytes(ulong count, ulong size) => (long)UInt128.Min((UInt128)count * size, long.MaxValue);

    /// <summary>struct statvfs of sys/statvfs.h.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 112)]
    private struct StatVfsBuffer
    {
        [FieldOffset(8)] public ulong FragmentSize;
        [FieldOffset(16)] public ulong Blocks;
        [FieldOffset(32)] public ulong AvailableBlocks;
        [FieldOffset(40)] public ulong Files;
        [FieldOffset(56)] public ulong AvailableFiles;
        [FieldOffset(80)] public ulong LongestName;
    }

    /// <summary>struct timex of sys/timex.h; with no mode set, the call only reads.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 208)]
    private struct ClockBuffer
    {
        [FieldOffset(40)] public int Status;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int statvfs(string path, StatVfsBuffer* buffer);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int faccessat(int folder, string path, int mode, int flags);

    [LibraryImport("libc")]
    private static partial uint geteuid();

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial int adjtimex(ClockBuffer* buffer);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(Descriptor fd, nuint request, nint argument);
}

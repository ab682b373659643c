using System.Runtime.InteropServices;

namespace DistMigrate.Posix;

/// <summary>
/// The system calls that DistMigrate makes itself, with their errno kept. .NET has no call for most of them, and its
/// fsync returns normally when fsync(2) fails on Linux. EINTR is retried here and nowhere else.
/// </summary>
public static partial class Libc
{
    private const int AtFdCwd = -100;
    private const int AtEmptyPath = 0x1000;
    private const int RenameNoReplace = 1;
    private const int SeekDataWhence = 3;
    private const int SeekHoleWhence = 4;
    private const int FallocKeepSize = 1;
    private const int FallocPunchHole = 2;
    private const int AfUnix = 1;
    private const int SockStream = 1;
    private const int SockCloseOnExec = 0x80000;
    private const uint MemfdCloseOnExec = 1;
    private const int LockExclusive = 2;
    private const int LockNonBlocking = 4;

    /// <summary>Opens a file with O_CLOEXEC.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="flags">Access mode and creation flags.</param>
    /// <param name="mode">Permission bits of a file that is created.</param>
    /// <exception cref="ErrnoException">open(2) failed.</exception>
    public static Descriptor Open(string path, OpenFlags flags, int mode = 0x180 /* 0600 */)
    {
        int fd;
        do
            fd = open(path, flags.ToNative(), mode);
        while (fd < 0 && Interrupted());
        return fd >= 0 ? new Descriptor(fd, path) : throw Failure("open", path);
    }

    /// <summary>Reads at an offset; may return less than asked for, 0 at the end of the file.</summary>
    /// <exception cref="ErrnoException">pread(2) failed.</exception>
    public static unsafe int PRead(Descriptor file, Span<byte> buffer, long offset)
    {
        fixed (byte* p = buffer)
        {
            nint n;
            do
                n = pread(file, p, buffer.Length, offset);
            while (n < 0 && Interrupted());
            return n >= 0 ? (int)n : throw Failure("pread", file.Path);
        }
    }

    /// <summary>Fills the whole buffer from an offset.</summary>
    /// <exception cref="ErrnoException">pread(2) failed.</exception>
    /// <exception cref="EndOfStreamException">The file ends before the buffer is full.</exception>
    public static void PReadExactly(Descriptor file, Span<byte> buffer, long offset)
    {
        while (!buffer.IsEmpty)
        {
            var n = PRead(file, buffer, offset);
            if (n == 0)
                throw new EndOfStreamException($"{file.Path} ends at {offset}; {buffer.Length} more bytes were expected.");
            buffer = buffer[n..];
            offset += n;
        }
    }

    /// <summary>
    /// Writes at an offset, once: how much of an extent is on storage after a short write is not known, so the caller treats
    /// a return below the buffer's length as an error of the whole extent.
    /// </summary>
    /// <returns>Bytes written, or -1 with <paramref name="errno"/> set. It does not throw: the copy loop decides by errno.</returns>
    public static unsafe int PWrite(Descriptor file, ReadOnlySpan<byte> buffer, long offset, out Errno errno)
    {
        fixed (byte* p = buffer)
        {
            nint n;
            do
                n = pwrite(file, p, buffer.Length, offset);
            while (n < 0 && Interrupted());
            errno = n < 0 ? LastErrno : Errno.None;
            return (int)n;
        }
    }

    /// <summary>Writes the whole buffer at an offset, for the small writes outside the copy loop.</summary>
    /// <exception cref="ErrnoException">pwrite(2) failed or was short (told as ENOSPC when nothing more went in, EIO otherwise).</exception>
    public static void PWriteExactly(Descriptor file, ReadOnlySpan<byte> buffer, long offset)
    {
        var n = PWrite(file, buffer, offset, out var errno);
        if (n == buffer.Length)
            return;
        throw new ErrnoException("pwrite", n < 0 ? errno : n == 0 ? Errno.ENOSPC : Errno.EIO, file.Path);
    }

    /// <summary>Makes a file's bytes and size durable. After a failure, what was written since the last good fsync is lost:
    /// Linux tells an error once for each descriptor and then forgets it, so the call must never just be repeated.</summary>
    /// <exception cref="ErrnoException">fsync(2) failed.</exception>
    public static void FSync(Descriptor file)
    {
        int result;
        do
            result = fsync(file);
        while (result < 0 && Interrupted());
        if (result != 0)
            throw Failure("fsync", file.Path);
    }

    /// <summary>Makes a folder's entries (a new name, a rename) durable.</summary>
    /// <exception cref="ErrnoException">open(2) or fsync(2) of the folder failed.</exception>
    public static void FSyncFolder(string folder)
    {
        using var descriptor = Open(folder, OpenFlags.ReadOnly | OpenFlags.Folder);
        FSync(descriptor);
    }

    /// <summary>Reserves space for a range without changing what it reads as; the range may lie past the end.</summary>
    /// <returns><see cref="Errno.None"/>, or why not; <see cref="Errno.EOPNOTSUPP"/> where the file system cannot.</returns>
    public static Errno Allocate(Descriptor file, long offset, long length) => Fallocate(file, FallocKeepSize, offset, length);

    /// <summary>Gives a range back to the file system; it reads as zero afterwards.</summary>
    /// <returns><see cref="Errno.None"/>, or why not; <see cref="Errno.EOPNOTSUPP"/> where the file system cannot.</returns>
    public static Errno PunchHole(Descriptor file, long offset, long length) =>
        Fallocate(file, FallocPunchHole | FallocKeepSize, offset, length);

    /// <summary>Sets a file's length.</summary>
    /// <exception cref="ErrnoException">ftruncate(2) failed.</exception>
    public static void Truncate(Descriptor file, long length)
    {
        int result;
        do
            result = ftruncate(file, length);
        while (result < 0 && Interrupted());
        if (result != 0)
            throw Failure("ftruncate", file.Path);
    }

    /// <summary>The next byte at or after <paramref name="offset"/> that is not in a hole, or -1 when only a hole follows.</summary>
    /// <exception cref="ErrnoException">lseek(2) failed; EINVAL where the file system does not tell holes.</exception>
    public static long SeekData(Descriptor file, long offset) => Seek(file, offset, SeekDataWhence);

    /// <summary>The next byte at or after <paramref name="offset"/> that is in a hole; the end of the file counts as one.</summary>
    /// <exception cref="ErrnoException">lseek(2) failed.</exception>
    public static long SeekHole(Descriptor file, long offset) => Seek(file, offset, SeekHoleWhence);

    /// <summary>The byte ranges of a file, between two offsets, that are not holes; null where its file system does not tell them.</summary>
    /// <exception cref="ErrnoException">The file cannot be read.</exception>
    public static List<(long Start, long End)>? TryExtents(Descriptor file, long start, long end)
    {
        var extents = new List<(long, long)>();
        try
        {
            for (var position = start; position < end;)
            {
                var data = SeekData(file, position);
                if (data < 0 || data >= end)
                    break;
                position = SeekHole(file, data);
                if (position <= data)
                    position = end;
                extents.Add((data, Math.Min(position, end)));
            }
        }
        catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.EOPNOTSUPP)
        {
            return null;
        }

        return extents;
    }

    /// <summary>Device, inode, links and sizes of an open file.</summary>
    /// <exception cref="ErrnoException">statx(2) failed.</exception>
    public static FileIdentity Identify(Descriptor file) =>
        Statx(file.Number, "", AtEmptyPath) is { } identity ? identity : throw Failure("statx", file.Path);

    /// <summary>Device, inode, links and sizes of the file that a path leads to.</summary>
    /// <exception cref="ErrnoException">statx(2) failed.</exception>
    public static FileIdentity Identify(string path) =>
        Statx(AtFdCwd, path, 0) is { } identity ? identity : throw Failure("statx", path);

    /// <summary>Takes an exclusive flock(2) that lasts until the descriptor and all its copies are closed.</summary>
    /// <returns>False when another process holds it.</returns>
    /// <exception cref="ErrnoException">flock(2) failed for another reason.</exception>
    public static bool TryLock(Descriptor file)
    {
        int result;
        do
            result = flock(file, LockExclusive | LockNonBlocking);
        while (result < 0 && Interrupted());
        if (result == 0)
            return true;
        return LastErrno == Errno.EAGAIN ? false : throw Failure("flock", file.Path);
    }

    /// <summary>Renames a file; with <paramref name="replace"/> false an existing target is an error, decided by the kernel.</summary>
    /// <exception cref="ErrnoException">renameat2(2) failed: EEXIST when the target exists and may not be replaced; EINVAL where
    /// the file system lacks RENAME_NOREPLACE.</exception>
    public static void Rename(string from, string to, bool replace)
    {
        if (renameat2(AtFdCwd, from, AtFdCwd, to, replace ? 0u : RenameNoReplace) != 0)
            throw Failure("rename", to);
    }

    /// <summary>Gives a file a second name; fails when that exists.</summary>
    /// <exception cref="ErrnoException">link(2) failed: EEXIST when the name is taken.</exception>
    public static void Link(string existing, string name)
    {
        if (link(existing, name) != 0)
            throw Failure("link", name);
    }

    /// <summary>Makes two connected unix stream sockets.</summary>
    /// <exception cref="ErrnoException">socketpair(2) failed.</exception>
    public static unsafe (Descriptor First, Descriptor Second) SocketPair()
    {
        var pair = stackalloc int[2];
        if (socketpair(AfUnix, SockStream | SockCloseOnExec, 0, pair) != 0)
            throw Failure("socketpair", "unix");
        return (new Descriptor(pair[0], "socketpair"), new Descriptor(pair[1], "socketpair"));
    }

    /// <summary>Makes a file that lives in memory, has no name, and is gone with its last descriptor.</summary>
    /// <param name="name">What /proc/PID/fd shows for it.</param>
    /// <exception cref="ErrnoException">memfd_create(2) failed.</exception>
    public static Descriptor MemoryFile(string name)
    {
        var fd = memfd_create(name, MemfdCloseOnExec);
        return fd >= 0 ? new Descriptor(fd, $"memfd:{name}") : throw Failure("memfd_create", name);
    }

    /// <summary>Sends bytes on a unix socket with one descriptor attached to the first of them (unix(7), SCM_RIGHTS).</summary>
    /// <returns>Bytes sent, or -1 with <paramref name="errno"/> set; EAGAIN when a non-blocking socket takes nothing now. The
    /// descriptor went along whenever at least one byte did.</returns>
    public static unsafe int SendDescriptor(SafeHandle socket, ReadOnlySpan<byte> bytes, SafeHandle descriptor, out Errno errno)
    {
        const int solSocket = 1;
        const int scmRights = 1;
        const int noSignal = 0x4000;
        var held = false;
        try
        {
            descriptor.DangerousAddRef(ref held);
            fixed (byte* p = bytes)
            {
                var vector = new IoVector { Base = p, Length = (nuint)bytes.Length };
                var control = new DescriptorMessage
                {
                    Length = 20,
                    Level = solSocket,
                    Type = scmRights,
                    Descriptor = (int)descriptor.DangerousGetHandle(),
                };
                var message = new MessageHeader
                {
                    Vectors = &vector,
                    VectorCount = 1,
                    Control = &control,
                    ControlLength = (nuint)sizeof(DescriptorMessage),
                };
                nint n;
                do
                    n = sendmsg(socket, &message, noSignal);
                while (n < 0 && Interrupted());
                errno = n < 0 ? LastErrno : Errno.None;
                return (int)n;
            }
        }
        finally
        {
            if (held)
                descriptor.DangerousRelease();
        }
    }

    /// <summary>Asks for huge pages behind a range of memory (madvise(2), MADV_HUGEPAGE); a kernel without them keeps small ones.</summary>
    public static unsafe void AdviseHugePages(void* start, nuint length)
    {
        const int hugePage = 14;
        _ = madvise(start, length, hugePage);
    }

    /// <summary>Asks a process to end (kill(2) with SIGTERM). One that is gone is no error.</summary>
    /// <exception cref="ErrnoException">It is another user's.</exception>
    public static void Terminate(int pid)
    {
        const int sigTerm = 15;
        if (kill(pid, sigTerm) != 0 && LastErrno != Errno.ESRCH)
            throw Failure("kill", $"process {pid}");
    }

    /// <summary>Leaves the terminal's session, so that its Ctrl-C and its end do not reach this process (setsid(2)).</summary>
    /// <exception cref="ErrnoException">This process leads a process group already.</exception>
    public static void LeaveSession()
    {
        if (setsid() < 0)
            throw Failure("setsid", "this process");
    }

    /// <summary>Makes a standard stream lead to an open file (dup2(2)).</summary>
    /// <param name="file">The file.</param>
    /// <param name="stream">0, 1 or 2.</param>
    /// <exception cref="ErrnoException">dup2(2) failed.</exception>
    public static void Redirect(Descriptor file, int stream)
    {
        if (dup2(file, stream) < 0)
            throw Failure("dup2", file.Path);
    }

    /// <summary>Makes a named pipe with mode 0600 (mkfifo(3)).</summary>
    /// <exception cref="ErrnoException">It could not be made; EEXIST when the name is taken.</exception>
    public static void MakePipe(string path)
    {
        if (mkfifo(path, 0x180 /* 0600 */) != 0)
            throw Failure("mkfifo", path);
    }

    internal static void Close(int fd, string path)
    {
        // close(2) frees the descriptor even when it fails with EINTR, so it is never repeated.
        if (close(fd) != 0 && LastErrno != Errno.EINTR)
            throw Failure("close", path);
    }

    internal static bool TryClose(int fd) => close(fd) == 0;

    private static Errno LastErrno => (Errno)Marshal.GetLastPInvokeError();

    private static bool Interrupted() => LastErrno == Errno.EINTR;

    private static ErrnoException Failure(string call, string subject) => new(call, LastErrno, subject);

    private static Errno Fallocate(Descriptor file, int mode, long offset, long length)
    {
        int result;
        do
            result = fallocate(file, mode, offset, length);
        while (result < 0 && Interrupted());
        return result == 0 ? Errno.None : LastErrno;
    }

    private static long Seek(Descriptor file, long offset, int whence)
    {
        var position = lseek(file, offset, whence);
        if (position >= 0)
            return position;
        return LastErrno == Errno.ENXIO ? -1 : throw Failure("lseek", file.Path);
    }

    private static unsafe FileIdentity? Statx(int folder, string path, int flags)
    {
        const uint basicStats = 0x7ff;
        StatxBuffer buffer = default;
        if (statx(folder, path, flags, basicStats, &buffer) != 0)
            return null;
        return new FileIdentity(
            ((ulong)buffer.DeviceMajor << 32) | buffer.DeviceMinor, buffer.Inode, buffer.Links, (long)buffer.Size,
            (long)buffer.Blocks * 512);
    }

    /// <summary>struct statx of linux/stat.h: 256 bytes, the same on every architecture.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct StatxBuffer
    {
        [FieldOffset(0x10)] public uint Links;
        [FieldOffset(0x14)] public uint User;
        [FieldOffset(0x1c)] public ushort Mode;
        [FieldOffset(0x20)] public ulong Inode;
        [FieldOffset(0x28)] public ulong Size;
        [FieldOffset(0x30)] public ulong Blocks;
        [FieldOffset(0x88)] public uint DeviceMajor;
        [FieldOffset(0x8c)] public uint DeviceMinor;
    }

    /// <summary>struct iovec of sys/uio.h.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private unsafe struct IoVector
    {
        public byte* Base;
        public nuint Length;
    }

    /// <summary>struct msghdr of sys/socket.h, 64-bit.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private unsafe struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public IoVector* Vectors;
        public nuint VectorCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }

    /// <summary>struct cmsghdr with one descriptor behind it: CMSG_LEN 20, padded to CMSG_SPACE 24.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 24)]
    private struct DescriptorMessage
    {
        [FieldOffset(0)] public nuint Length;
        [FieldOffset(8)] public int Level;
        [FieldOffset(12)] public int Type;
        [FieldOffset(16)] public int Descriptor;
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, int mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int close(int fd);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint pread(Descriptor fd, byte* buffer, nint count, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint pwrite(Descriptor fd, byte* buffer, nint count, long offset);

    [LibraryImport("libc")]
    private static unsafe partial int madvise(void* start, nuint length, int advice);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int pid, int signal);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int mkfifo(string path, int mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsid();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int dup2(Descriptor from, int to);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(Descriptor fd);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ftruncate(Descriptor fd, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fallocate(Descriptor fd, int mode, long offset, long length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial long lseek(Descriptor fd, long offset, int whence);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(Descriptor fd, int operation);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int renameat2(int fromFolder, string from, int toFolder, string to, uint flags);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int link(string existing, string name);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int statx(int folder, string path, int flags, uint mask, StatxBuffer* buffer);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial int socketpair(int domain, int type, int protocol, int* pair);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int memfd_create(string name, uint flags);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint sendmsg(SafeHandle socket, MessageHeader* message, int flags);
}

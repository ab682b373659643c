using System.Runtime.InteropServices;

namespace DistMigrate.Posix;

// Starting programs that outlive us.
public static partial class Libc
{
    private const short SpawnSetSignalDefaults = 0x04;
    private const short SpawnSetSignalMask = 0x08;
    private const short SpawnSetSession = 0x80;
    private const int WaitNoHang = 1;

    /// <summary>Larger than posix_spawnattr_t, posix_spawn_file_actions_t and sigset_t of any C library.</summary>
    private const int OpaqueBytes = 1024;

    /// <summary>
    /// Starts a program that goes on when we end: in a session of its own, with default signals, nothing on its standard input, and
    /// its output in a file. .NET's own start gives it pipes, which break with us.
    /// </summary>
    /// <param name="program">Its path.</param>
    /// <param name="arguments">Its arguments, without its name.</param>
    /// <param name="environment">Its environment.</param>
    /// <param name="folder">Its working folder.</param>
    /// <param name="output">The file that takes standard output and error; mode 0600, emptied when it exists.</param>
    /// <returns>Its process number. Once it has ended it stays in the process table until <see cref="Reap"/>.</returns>
    /// <exception cref="ErrnoException">It could not be started: the program, the folder or the output file is missing or refused.</exception>
    public static unsafe int Spawn(
        string program, IReadOnlyList<string> arguments, IReadOnlyDictionary<string, string> environment, string folder, string output)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        ArgumentNullException.ThrowIfNull(environment);
        using var argv = new NativeStrings([program, .. arguments]);
        using var envp = new NativeStrings([.. environment.Select(variable => $"{variable.Key}={variable.Value}")]);
        var actions = stackalloc byte[OpaqueBytes];
        var attributes = stackalloc byte[OpaqueBytes];
        var signals = stackalloc byte[OpaqueBytes];
        Check(posix_spawn_file_actions_init(actions));
        Check(posix_spawnattr_init(attributes));
        try
        {
            Check(posix_spawn_file_actions_addopen(actions, 0, "/dev/null", Inherited(OpenFlags.ReadOnly), 0));
            Check(posix_spawn_file_actions_addopen(actions, 1, output, Inherited(OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Truncate), 0x180));
            Check(posix_spawn_file_actions_adddup2(actions, 1, 2));
            Check(posix_spawn_file_actions_addchdir_np(actions, folder));
            _ = sigemptyset(signals);
            Check(posix_spawnattr_setsigmask(attributes, signals));
            _ = sigfillset(signals);
            Check(posix_spawnattr_setsigdefault(attributes, signals));
            Check(posix_spawnattr_setflags(attributes, SpawnSetSession | SpawnSetSignalMask | SpawnSetSignalDefaults));
            int pid;
            Check(posix_spawn(&pid, program, actions, attributes, argv.Pointer, envp.Pointer));
            return pid;
        }
        finally
        {
            _ = posix_spawnattr_destroy(attributes);
            _ = posix_spawn_file_actions_destroy(actions);
        }

        // The program is to have these, unlike every other file that we open.
        static int Inherited(OpenFlags flags) => flags.ToNative() & ~OpenFlagsNative.CloseOnExec;

        void Check(int error)
        {
            if (error != 0)
                throw new ErrnoException("posix_spawn", (Errno)error, program);
        }
    }

    /// <summary>Takes a child that has ended out of the process table. Others are left alone.</summary>
    public static unsafe void Reap(int pid)
    {
        int status;
        while (waitpid(pid, &status, WaitNoHang) < 0 && Interrupted())
        {
        }
    }

    /// <summary>A null-terminated array of null-terminated strings.</summary>
    private sealed unsafe class NativeStrings : IDisposable
    {
        private readonly int _count;

        public NativeStrings(IReadOnlyList<string> strings)
        {
            _count = strings.Count;
            Pointer = (byte**)NativeMemory.AllocZeroed((nuint)_count + 1, (nuint)sizeof(byte*));
            for (var i = 0; i < _count; i++)
                Pointer[i] = (byte*)Marshal.StringToCoTaskMemUTF8(strings[i]);
        }

        public byte** Pointer { get; }

        public void Dispose()
        {
            for (var i = 0; i < _count; i++)
                Marshal.FreeCoTaskMem((nint)Pointer[i]);
            NativeMemory.Free(Pointer);
        }
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int posix_spawn(int* pid, string path, byte* actions, byte* attributes, byte** argv, byte** envp);

    [LibraryImport("libc")]
    private static unsafe partial int posix_spawn_file_actions_init(byte* actions);

    [LibraryImport("libc")]
    private static unsafe partial int posix_spawn_file_actions_destroy(byte* actions);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int posix_spawn_file_actions_addopen(byte* actions, int fd, string path, int flags, int mode);

    [LibraryImport("libc")]
    private static unsafe partial int posix_spawn_file_actions_adddup2(byte* actions, int from, int to);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int posix_spawn_file_actions_addchdir_np(byte* actions, string folder);

    [LibraryImport("libc")]
    private static unsafe partial int posix_spawnattr_init(byte* attributes);

    [LibraryImport("libc")]
    private static unsafe partial int posix_spawnattr_destroy(byte* attributes);

    [LibraryImport("libc")]
    private static unsafe partial int posix_spawnattr_setflags(byte* attributes, short flags);

    [LibraryImport("libc")]
    private static unsafe partial int posix_spawnattr_setsigmask(byte* attributes, byte* signals);

    [LibraryImport("libc")]
    private static unsafe partial int posix_spawnattr_setsigdefault(byte* attributes, byte* signals);

    [LibraryImport("libc")]
    private static unsafe partial int sigemptyset(byte* signals);

    [LibraryImport("libc")]
    private static unsafe partial int sigfillset(byte* signals);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial int waitpid(int pid, int* status, int options);
}

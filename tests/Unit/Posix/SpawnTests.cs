using System.Diagnostics;
using DistMigrate.Posix;
using DistMigrate.Tests.Lab;
using DistMigrate.Tests.Unit.Transfer;

namespace DistMigrate.Tests.Unit.Posix;

public sealed class SpawnTests : IDisposable
{
    private const string Shell = "/bin/sh";
    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Arguments_environment_and_folder_arrive_as_given_and_output_goes_to_a_private_file()
    {
        var log = _folder["log"];
        var pid = Libc.Spawn(Shell, ["-c", "printf '%s|' \"$@\" \"$NAME\" \"$PWD\"; echo >&2 error", "name", "a b", "", "ü$HOME;'\""],
            new Dictionary<string, string> { ["NAME"] = "x=y" }, _folder.Path, log);
        await EndedAsync(pid);
        Assert.Equal($"a b||ü$HOME;'\"|x=y|{_folder.Path}|error\n", await File.ReadAllTextAsync(log));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(log));
        Libc.Reap(pid);
        Assert.False(Directory.Exists($"/proc/{pid}"));
    }

    [Fact]
    public async Task It_has_a_session_of_its_own_default_signals_nothing_on_its_input_and_none_of_our_descriptors()
    {
        // A shell that forks blocks signals for a moment.
        var pid = Libc.Spawn(Shell, ["-c", "exec sleep 1000"], new Dictionary<string, string>(), _folder.Path, _folder["log"]);
        using var process = ProcessDescriptor.TryOpen(pid)!;
        try
        {
            var stat = await File.ReadAllTextAsync($"/proc/{pid}/stat");
            Assert.Equal($"{pid}", stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[3]);
            var status = await File.ReadAllLinesAsync($"/proc/{pid}/status");
            Assert.Equal(0, Signals("SigBlk"));
            Assert.Equal(0, Signals("SigIgn"));

            // The C library keeps two signals above these to itself.
            long Signals(string kind) => Convert.ToInt64(status.Single(line => line.StartsWith(kind + ":", StringComparison.Ordinal))[8..], 16) & 0x7fffffff;
            Assert.Equal("/dev/null", File.ResolveLinkTarget($"/proc/{pid}/fd/0", false)!.FullName);
            Assert.Equal(["0", "1", "2"], Directory.EnumerateFileSystemEntries($"/proc/{pid}/fd").Select(Path.GetFileName).Where(fd => fd!.Length == 1).Order());
        }
        finally
        {
            EndSession(pid);
            process.Kill();
        }

        await Wait.UntilAsync(() => process.HasEnded, "the shell has ended");
        Libc.Reap(pid);
    }

    [Fact]
    public async Task A_process_is_signalled_by_its_descriptor_and_counts_as_ended_before_it_is_reaped()
    {
        var pid = Libc.Spawn("/bin/sleep", ["1000"], new Dictionary<string, string>(), _folder.Path, _folder["log"]);
        using var process = ProcessDescriptor.TryOpen(pid)!;
        Assert.False(process.HasEnded);
        process.Terminate();
        await Wait.UntilAsync(() => process.HasEnded, "sleep has ended");
        Assert.True(Directory.Exists($"/proc/{pid}"));
        process.Kill();
        Libc.Reap(pid);
        Libc.Reap(pid);
        Assert.Null(ProcessDescriptor.TryOpen(pid));
        process.Kill();
        Assert.True(process.HasEnded);
    }

    [Fact]
    public void What_cannot_be_started_is_an_error_with_its_errno()
    {
        var none = new Dictionary<string, string>();
        Assert.Equal(Errno.ENOENT, Assert.Throws<ErrnoException>(() => Libc.Spawn(_folder["no"], [], none, _folder.Path, _folder["log"])).Errno);
        Assert.Equal(Errno.EACCES, Assert.Throws<ErrnoException>(() => Libc.Spawn(_folder.Write("text", "x"), [], none, _folder.Path, _folder["log"])).Errno);
        Assert.Equal(Errno.ENOENT, Assert.Throws<ErrnoException>(() => Libc.Spawn(Shell, [], none, _folder["no"], _folder["log"])).Errno);
        Assert.Equal(Errno.ENOENT, Assert.Throws<ErrnoException>(() => Libc.Spawn(Shell, [], none, _folder.Path, _folder["no/log"])).Errno);
    }

    [Fact]
    public void A_pipe_is_made_once()
    {
        Libc.MakePipe(_folder["pipe"]);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_folder["pipe"]));
        Assert.Equal(Errno.EEXIST, Assert.Throws<ErrnoException>(() => Libc.MakePipe(_folder["pipe"])).Errno);
    }

    public void Dispose() => _folder.Dispose();

    private static async Task EndedAsync(int pid)
    {
        using var process = ProcessDescriptor.TryOpen(pid)!;
        await Wait.UntilAsync(() => process.HasEnded, "the program has ended");
    }

    /// <summary>Ends what the shell of a session started, by its numbers.</summary>
    private static void EndSession(int pid)
    {
        foreach (var child in File.ReadAllText($"/proc/{pid}/task/{pid}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            using var process = Process.GetProcessById(int.Parse(child, null));
            process.Kill();
        }
    }
}

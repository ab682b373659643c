using System.Diagnostics;
using System.Globalization;
using System.Text;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>
/// strace(1) attached to a process: it records system calls, and makes some of them fail or kill the process instead of being carried
/// out. It counts calls for each thread alone. Disposing lets the process go.
/// </summary>
internal sealed class Strace : IAsyncDisposable
{
    private readonly int _tracee;
    private readonly Process _process;
    private readonly string _folder;
    private readonly StringBuilder _messages = new();

    private Strace(int tracee, IEnumerable<string> arguments)
    {
        _tracee = tracee;
        _folder = Directory.CreateTempSubdirectory("dm-strace-").FullName;
        var start = new ProcessStartInfo("strace", ["-o", LogPath, .. arguments]) { RedirectStandardError = true, RedirectStandardInput = true };
        _process = Process.Start(start)!;
        _process.StandardInput.Close();
        _process.ErrorDataReceived += (_, line) =>
        {
            lock (_messages)
                _messages.AppendLine(line.Data);
        };
        _process.BeginErrorReadLine();
    }

    private string LogPath => Path.Combine(_folder, "log");

    private string Messages
    {
        get
        {
            lock (_messages)
                return _messages.ToString();
        }
    }

    /// <summary>Attaches to every thread of a process, those to come included, and returns once that is done.</summary>
    /// <param name="pid">The process.</param>
    /// <param name="paths">Only calls on these files and folders are seen; none for all calls.</param>
    /// <param name="calls">The calls that are recorded.</param>
    /// <param name="injections">What becomes of some of them, as strace's <c>inject=</c> has it.</param>
    public static Task<Strace> AttachAsync(int pid, IEnumerable<string> paths, string calls, params IEnumerable<string> injections) =>
        AttachAsync(pid, ["-f", "-p", Text(pid), .. Arguments(paths, calls, injections)]);

    /// <summary>Attaches to one thread alone.</summary>
    /// <param name="thread">Its number.</param>
    /// <param name="calls">The calls that are recorded.</param>
    /// <param name="injections">What becomes of some of them.</param>
    public static Task<Strace> AttachToThreadAsync(int thread, string calls, params IEnumerable<string> injections) =>
        AttachAsync(thread, ["-p", Text(thread), .. Arguments([], calls, injections)]);

    /// <summary>Whether a call has been interfered with.</summary>
    public bool HasInjected => ReadRecord().Any(line => line.Contains("(INJECTED)", StringComparison.Ordinal));

    /// <summary>Waits until a call has been interfered with.</summary>
    public Task WaitForInjectionAsync() => Wait.UntilAsync(() => HasInjected, "a call fails as told", details: () => Messages);

    /// <summary>Lets the process go and gives the lines of the record: a thread's number, and what it called.</summary>
    public async Task<IReadOnlyList<string>> FinishAsync()
    {
        // It ends by itself when its process does, and must not be told to while it still buries that.
        if (ProcessState.IsAlive(_tracee))
            Signals.Send(_process.Id, Signal.Terminate);
        await Wait.UntilAsync(() => _process.HasExited, "strace lets its process go", details: () => Messages);
        return ReadRecord();
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            await FinishAsync();
        }
        finally
        {
            _process.Kill();
            _process.Dispose();
            Directory.Delete(_folder, recursive: true);
        }
    }

    private static async Task<Strace> AttachAsync(int tracee, IEnumerable<string> arguments)
    {
        FaultTools.Require(FaultNeeds.Strace);
        var strace = new Strace(tracee, arguments);
        try
        {
            await Wait.UntilAsync(
                () => strace._process.HasExited
                    ? throw new InvalidOperationException($"strace ended at once: {strace.Messages}")
                    : strace.Messages.Contains(" attached", StringComparison.Ordinal),
                "strace is attached",
                details: () => strace.Messages);
            return strace;
        }
        catch
        {
            await strace.DisposeAsync();
            throw;
        }
    }

    private string[] ReadRecord() => File.Exists(LogPath) ? File.ReadAllLines(LogPath) : [];

    private static IEnumerable<string> Arguments(IEnumerable<string> paths, string calls, IEnumerable<string> injections) =>
    [
        .. paths.SelectMany(path => new[] { "-P", path }),
        "-e", $"trace={calls}",
        .. injections.SelectMany(injection => new[] { "-e", $"inject={injection}" }),
    ];

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}

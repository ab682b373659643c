using System.ComponentModel;
using System.Diagnostics;

namespace DistMigrate.Client.Connection;

/// <summary>The silo that serves this user on this machine: found by its file, started when none lives.</summary>
/// <param name="stateFolder">Its state folder.</param>
/// <param name="findProgram">Finds its executable; called only when it must be started.</param>
/// <param name="environment">Variables it gets beside ours.</param>
/// <param name="time">The clock.</param>
/// <param name="say">Takes one line for the user.</param>
internal sealed class BackgroundSilo(
    string stateFolder,
    Func<string> findProgram,
    IReadOnlyDictionary<string, string> environment,
    TimeProvider time,
    Action<string> say)
{
    /// <summary>The silo exits with this code when another one holds the state folder.</summary>
    public const int AnotherRunsExitCode = 7;

    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan PauseBeforeNextStart = TimeSpan.FromSeconds(2);

    private string LogPath => Path.Combine(stateFolder, "silo.log");

    /// <summary>Gives the living silo's file, after starting a silo when there is none.</summary>
    /// <exception cref="CommandException">None lives and none could be started within 30 s.</exception>
    public async Task<SiloFile> EnsureAsync(CancellationToken cancellation)
    {
        if (await TryFindAsync(cancellation) is { } running)
            return running;

        var program = findProgram();
        CreateStateFolder();
        say($"no silo runs yet; starting one in the background (state in {stateFolder})");
        var started = time.GetTimestamp();
        while (true)
        {
            var attempt = new SiloStart(program, stateFolder, environment, LogPath);
            var exitCode = await WaitAsync(attempt, started, cancellation);
            if (exitCode is null && await TryFindAsync(cancellation) is { } file)
                return file;
            if (exitCode is not null and not AnotherRunsExitCode)
                throw new CommandException(
                    ExitCode.Unreachable,
                    $"the silo ended with exit code {exitCode} while it started.{attempt.LastLines()}",
                    $"its whole log is {LogPath}");

            // Another silo held the state folder, but none answers yet: it may be starting, or be about to end.
            await WaitForFileAsync(PauseBeforeNextStart, cancellation);
            if (await TryFindAsync(cancellation) is { } other)
                return other;
            ThrowIfTooLate(started, attempt);
        }
    }

    /// <summary>Gives the living silo's file; null when none lives.</summary>
    public async Task<SiloFile?> TryFindAsync(CancellationToken cancellation) =>
        SiloFile.TryRead(stateFolder) is { } file && await file.IsAliveAsync(cancellation) ? file : null;

    /// <summary>Waits for a living silo (null) or the end of the one that was started (its exit code).</summary>
    private async Task<int?> WaitAsync(SiloStart attempt, long started, CancellationToken cancellation)
    {
        while (true)
        {
            if (await TryFindAsync(cancellation) is not null)
                return null;
            // An exit code of 0 says that it went on as another process.
            if (attempt.ExitCode is { } exitCode and not 0)
                return exitCode;
            ThrowIfTooLate(started, attempt);
            await Task.Delay(Poll, time, cancellation);
        }
    }

    private async Task WaitForFileAsync(TimeSpan limit, CancellationToken cancellation)
    {
        var started = time.GetTimestamp();
        while (time.GetElapsedTime(started) < limit && await TryFindAsync(cancellation) is null)
            await Task.Delay(Poll, time, cancellation);
    }

    private void ThrowIfTooLate(long started, SiloStart attempt)
    {
        if (time.GetElapsedTime(started) >= StartLimit)
            throw new CommandException(
                ExitCode.Unreachable,
                $"no silo was ready within {StartLimit.TotalSeconds:0} s.{attempt.LastLines()}",
                $"its whole log is {LogPath}");
    }

    private void CreateStateFolder()
    {
        if (!OperatingSystem.IsLinux())
            throw new CommandException(ExitCode.Unreachable, "a silo runs on Linux only.", "configure a cluster (DISTMIGRATE_GATEWAYS, DISTMIGRATE_CLUSTER_ID)");
        try
        {
            // Others must not read the cluster id or the log.
            Directory.CreateDirectory(stateFolder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(
                ExitCode.Unreachable,
                $"the state folder {stateFolder} cannot be created: {e.Message}",
                "set DISTMIGRATE_STATE to a folder that you may write to");
        }
    }

    /// <summary>One start of the silo's process.</summary>
    private sealed class SiloStart
    {
        private const int ShownLines = 15;

        private readonly Process _process;
        private readonly Queue<string> _output = new();
        private readonly string _logPath;
        private readonly long _logStart;

        public SiloStart(string program, string stateFolder, IReadOnlyDictionary<string, string> environment, string logPath)
        {
            _logPath = logPath;
            _logStart = File.Exists(logPath) ? new FileInfo(logPath).Length : 0;
            var start = new ProcessStartInfo(program)
            {
                ArgumentList = { "--background", "--state", stateFolder },
                WorkingDirectory = "/",
                // Its output goes to its log; pipes keep what it says before that off our own output, and keep it from holding that open.
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            foreach (var (name, value) in environment)
                start.Environment[name] = value;
            try
            {
                _process = Process.Start(start) ?? throw new InvalidOperationException("no process was started");
            }
            catch (Exception e) when (e is Win32Exception or InvalidOperationException)
            {
                throw new CommandException(
                    Client.ExitCode.Unreachable, $"the silo {program} cannot be started: {e.Message}",
                    "correct its permissions, or set DISTMIGRATE_SILO to the program's path");
            }
            _process.OutputDataReceived += (_, e) => Keep(e.Data);
            _process.ErrorDataReceived += (_, e) => Keep(e.Data);
            _process.BeginOutputReadLine();
            _process.BeginErrorReadLine();
        }

        /// <summary>Null while it runs.</summary>
        public int? ExitCode => _process.HasExited ? _process.ExitCode : null;

        /// <summary>What it said last, as indented lines that begin with a line end; empty when it said nothing.</summary>
        public string LastLines()
        {
            List<string> lines;
            lock (_output)
                lines = [.. _output];
            lines.AddRange(LogLines());
            return string.Concat(lines.TakeLast(ShownLines).Select(line => "\n    " + line));
        }

        private void Keep(string? line)
        {
            if (string.IsNullOrWhiteSpace(line))
                return;
            lock (_output)
            {
                _output.Enqueue(line);
                if (_output.Count > ShownLines)
                    _output.Dequeue();
            }
        }

        private string[] LogLines()
        {
            try
            {
                using var log = new FileStream(_logPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                var from = log.Length < _logStart ? 0 : _logStart;
                log.Position = Math.Max(from, log.Length - (64 * 1024));
                using var reader = new StreamReader(log);
                return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            }
            catch (IOException)
            {
                // There is no log yet; what came through the pipes is all there is.
                return [];
            }
        }
    }
}

using System.Collections;
using System.Text;
using DistMigrate.Posix;

namespace DistMigrate.Guests;

/// <summary>Launches QEMUs that wait for an image and go on when this process ends.</summary>
/// <param name="time">Where limits take their time from.</param>
public sealed class QemuLauncher(TimeProvider time)
{
    private const int LogTail = 4096;
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(20);

    /// <summary>Launches QEMU and waits until it waits for an image. After a failure nothing is left of it but its log.</summary>
    /// <exception cref="GuestException">Launch: the program, a folder or a name is missing or taken, or QEMU ended early, with its last
    /// words; TimedOut: it does not wait for an image within the limit; Busy: the folder has a QEMU that is alive.</exception>
    public async Task<LaunchedQemu> LaunchAsync(LaunchRequest request, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        var program = FindProgram(request.Plan.Arguments[0]);
        await PrepareAsync(request, cancellationToken);
        var launched = Start(request, program);
        try
        {
            await WaitUntilReadyAsync(request, launched, cancellationToken);
            return launched;
        }
        catch
        {
            // The reason of the failure says more than one of the clean-up; what that leaves is found by its record.
            await ((Task)launched.EndAsync(time, CancellationToken.None)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }
    }

    private async Task PrepareAsync(LaunchRequest request, CancellationToken cancellationToken)
    {
        var (guest, plan, placement) = request;
        if (LaunchedQemu.Find(placement.Folder) is { } earlier)
        {
            if (earlier.IsAlive)
                throw new GuestException(GuestFault.Busy, $"A QEMU of guest {earlier.Guest} (pid {earlier.Pid}) was launched with the folder {placement.Folder} already, and is alive. End it first.");
            await earlier.EndAsync(time, cancellationToken);
        }

        try
        {
            Directory.CreateDirectory(placement.Folder, Private);
            Directory.CreateDirectory(Path.GetDirectoryName(placement.MonitorPath)!, Private);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failed($"a folder cannot be made: {e.Message} Let the silo's user write there.", e);
        }

        if (request.WorkingFolder is { } folder && !Directory.Exists(folder))
            throw Failed($"its working folder {folder} does not exist on this host. Create it, or define the guest with absolute paths (Definitions:{guest}:Arguments).");
        if (plan.MemoryFiles.FirstOrDefault(Path.Exists) is { } memory)
            throw Failed($"the memory file {memory} exists already, and QEMU leaves pages that are not in an image as they are. Make sure that nobody uses it, then remove it.");
        foreach (var socket in plan.Sockets.Where(Path.Exists))
            await EnsureUnusedAsync(socket, cancellationToken);
        foreach (var pipe in plan.Pipes)
        {
            File.Delete(pipe);
            Libc.MakePipe(pipe);
        }

        GuestException Failed(string why, Exception? inner = null) => new(GuestFault.Launch, $"QEMU cannot be launched for guest {guest}: {why}", inner);
    }

    // QEMU removes a socket that is in its way, a living QEMU's as well.
    private async Task EnsureUnusedAsync(string socket, CancellationToken cancellationToken)
    {
        try
        {
            await (await QmpClient.ConnectAsync(socket, time, cancellationToken)).DisposeAsync();
        }
        catch (GuestException e) when (e.Fault == GuestFault.Unreachable)
        {
            return;
        }
        catch (GuestException)
        {
            // Somebody listens, whatever it says.
        }

        throw new GuestException(GuestFault.Busy, $"Somebody listens on {socket}, which the launched QEMU is to have. End that process, or choose another name for the guest.");
    }

    private LaunchedQemu Start(LaunchRequest request, string program)
    {
        var (guest, plan, placement) = request;
        var record = new LaunchRecord(
            guest, Pid: 0, StartTime: 0, LaunchRecord.ThisBoot(), time.GetUtcNow(), ArgumentRedaction.Redact(plan.Arguments),
            placement.MonitorPath, plan.MemoryFiles, [.. plan.Sockets, .. plan.Pipes]);
        try
        {
            // Written before as well: a process that dies between the two lines leaves a QEMU that can be found.
            record.Write(placement.Folder);
            var pid = Libc.Spawn(program, [.. plan.Arguments.Skip(1)], Surroundings(), request.WorkingFolder ?? placement.Folder, LaunchRecord.LogIn(placement.Folder));
            record = record with { Pid = pid, StartTime = ProcessFiles.StartTime(pid) };
            record.Write(placement.Folder);
        }
        catch (ErrnoException e)
        {
            throw new GuestException(GuestFault.Launch, $"QEMU cannot be launched for guest {guest}: {e.Message}. Check that {program} can be run and that {placement.Folder} can be written.", e);
        }

        return new LaunchedQemu(placement.Folder, record);
    }

    private async Task WaitUntilReadyAsync(LaunchRequest request, LaunchedQemu launched, CancellationToken cancellationToken)
    {
        var start = time.GetTimestamp();
        var last = "its monitor did not answer";
        while (time.GetElapsedTime(start) < request.Limit)
        {
            if (!launched.IsAlive)
                throw EndedEarly(launched);
            try
            {
                await using var guest = await QemuGuest.ConnectAsync(launched.Guest, launched.MonitorPath, time, cancellationToken);
                if (guest.Pid != launched.Pid)
                    throw new GuestException(GuestFault.Launch, $"Process {guest.Pid} serves {launched.MonitorPath} instead of the QEMU that was launched (pid {launched.Pid}). End one of the two.");
                var state = await guest.QueryRunStateAsync(cancellationToken);
                if (state.Status == "inmigrate")
                    return;
                last = $"its run state is {state.Status}, not inmigrate";
            }
            catch (GuestException e) when (e.Fault is GuestFault.Unreachable or GuestFault.NotQmp or GuestFault.Exited or GuestFault.TimedOut)
            {
                // It has not come so far yet, or it is just ending.
                last = e.Message;
            }

            await Task.Delay(Step, time, cancellationToken);
        }

        throw new GuestException(GuestFault.TimedOut,
            $"QEMU (pid {launched.Pid}) of guest {launched.Guest} was launched but does not wait for an image after {request.Limit.TotalSeconds:0} s: {last}. Its log {launched.LogPath} ends with: {Tail(launched.LogPath)}");
    }

    private static GuestException EndedEarly(LaunchedQemu launched) => new(GuestFault.Launch,
        $"QEMU of guest {launched.Guest} ended before it waited for an image. It said: {Tail(launched.LogPath)} "
        + $"Set right what it names, in the guest's arguments or on this host, and try again. Log: {launched.LogPath}");

    private static string Tail(string path)
    {
        try
        {
            using var log = File.OpenRead(path);
            log.Seek(-Math.Min(LogTail, log.Length), SeekOrigin.End);
            var bytes = new byte[LogTail];
            var text = Encoding.UTF8.GetString(bytes, 0, log.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false)).Trim();
            return text.Length > 0 ? ArgumentRedaction.Redact(text) : "(nothing)";
        }
        catch (IOException e)
        {
            return $"({e.Message})";
        }
    }

    /// <summary>Our own settings stay with us, since secrets may be among them.</summary>
    private static Dictionary<string, string> Surroundings() => Environment.GetEnvironmentVariables().Cast<DictionaryEntry>()
        .Where(variable => !((string)variable.Key).StartsWith("DISTMIGRATE_", StringComparison.OrdinalIgnoreCase) && (string)variable.Key != "NOTIFY_SOCKET")
        .ToDictionary(variable => (string)variable.Key, variable => (string?)variable.Value ?? "", StringComparer.Ordinal);

    private static string FindProgram(string program)
    {
        if (Path.IsPathFullyQualified(program))
            return File.Exists(program) ? program : throw Missing($"{program} does not exist on this host");
        if (program.Contains('/', StringComparison.Ordinal))
            throw Missing($"{program} is a relative path");
        return (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Where(Path.IsPathFullyQualified)
            .Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists) ?? throw Missing($"{program} is not on this silo's PATH");

        static GuestException Missing(string what) => new(GuestFault.Launch,
            $"QEMU cannot be launched: {what}. Install it, or name another in the silo's configuration (Launch:Program).");
    }
}

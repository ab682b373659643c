using DistMigrate.Posix;

namespace DistMigrate.Guests;

/// <summary>A QEMU that was launched here, by this process or by an earlier one, and outlives both.</summary>
public sealed class LaunchedQemu
{
    private static readonly TimeSpan QuitLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan TerminateLimit = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan KillLimit = TimeSpan.FromSeconds(30);

    private readonly LaunchRecord _record;

    internal LaunchedQemu(string folder, LaunchRecord record)
    {
        Folder = folder;
        _record = record;
    }

    /// <summary>The folder of this launch.</summary>
    public string Folder { get; }

    /// <summary>The guest's name.</summary>
    public string Guest => _record.Guest;

    /// <summary>QEMU's process.</summary>
    public int Pid => _record.Pid;

    /// <summary>When that process started, in clock ticks since boot: with the pid it names the process.</summary>
    public long StartTime => _record.StartTime;

    /// <summary>Our monitor socket.</summary>
    public string MonitorPath => _record.MonitorPath;

    /// <summary>What it wrote to standard output and error.</summary>
    public string LogPath => LaunchRecord.LogIn(Folder);

    /// <summary>Whether this very process is there and has not ended.</summary>
    public bool IsAlive => IsOfThisBoot && ProcessFiles.IsAlive(Pid, StartTime);

    // After a reboot the number and the ticks may be those of another process.
    private bool IsOfThisBoot => Pid > 0 && _record.BootId == LaunchRecord.ThisBoot();

    /// <summary>The QEMU that was launched with a folder, alive or not.</summary>
    /// <returns>Null when none was, or it was ended by <see cref="EndAsync"/>.</returns>
    /// <exception cref="GuestException">Launch: the record is damaged or cannot be read.</exception>
    public static LaunchedQemu? Find(string folder)
    {
        if (LaunchRecord.Read(folder) is not { } record)
            return null;

        // The launching process died before it knew the number: the monitor's path in the argument list names the process as well.
        if (record.Pid == 0 && record.BootId == LaunchRecord.ThisBoot() && FindByMonitor(record.MonitorPath) is var (pid, startTime))
            record = record with { Pid = pid, StartTime = startTime };
        return new LaunchedQemu(folder, record);
    }

    /// <summary>
    /// Ends it, by QMP <c>quit</c>, SIGTERM or SIGKILL, whichever it heeds, and removes its memory, sockets and record. The log stays.
    /// Returns once its process is surely gone. To be repeated after a failure; one that has ended already is cleaned up.
    /// </summary>
    /// <exception cref="GuestException">TimedOut: even SIGKILL does not end it. Launch: its record is damaged or cannot be read.</exception>
    /// <exception cref="ErrnoException">It is another user's process, or its files cannot be removed.</exception>
    public async Task EndAsync(TimeProvider time, CancellationToken cancellationToken)
    {
        using (var process = IsOfThisBoot ? QemuEnd.TryHold(Pid, StartTime) : null)
        {
            if (process is not null && !await EndedAsync(process, time, cancellationToken))
            {
                throw new GuestException(GuestFault.TimedOut,
                    $"QEMU (pid {Pid}) of guest {Guest} was sent SIGKILL and is still there after {KillLimit.TotalSeconds:0} s. It hangs in the kernel, most often on storage: bring that back, then try again.");
            }
        }

        // Ended before, and the folder may have a later launch, whose files bear the same names.
        if (LaunchRecord.Read(Folder)?.Launched != _record.Launched)
            return;
        foreach (var path in _record.MemoryFiles.Concat(_record.Sockets))
            File.Delete(path);
        File.Delete(LaunchRecord.PathIn(Folder));
    }

    private async Task<bool> EndedAsync(QemuEnd process, TimeProvider time, CancellationToken cancellationToken)
    {
        if (await TryQuitAsync(time, cancellationToken) && await process.WaitAsync(QuitLimit, time, cancellationToken))
            return true;
        process.Terminate();
        if (await process.WaitAsync(TerminateLimit, time, cancellationToken))
            return true;
        process.Kill();
        return await process.WaitAsync(KillLimit, time, cancellationToken);
    }

    private async Task<bool> TryQuitAsync(TimeProvider time, CancellationToken cancellationToken)
    {
        try
        {
            await using var guest = await QemuGuest.ConnectAsync(Guest, MonitorPath, time, cancellationToken);
            if ((guest.Pid, guest.StartTime) != (Pid, StartTime))
                return false;
            await guest.Qmp.ExecuteAsync("quit", null, null, cancellationToken);
            return true;
        }
        catch (GuestException e)
        {
            return e.Fault == GuestFault.Exited;
        }
    }

    private static (int Pid, long StartTime)? FindByMonitor(string monitorPath)
    {
        var argument = LaunchArguments.Monitor(monitorPath);
        foreach (var pid in ProcessFiles.All())
        {
            try
            {
                if (ProcessFiles.Arguments(pid).Contains(argument, StringComparer.Ordinal))
                    return (pid, ProcessFiles.StartTime(pid));
            }
            catch (GuestException)
            {
                // It has ended meanwhile.
            }
        }

        return null;
    }
}

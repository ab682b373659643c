using DistMigrate.Posix;

namespace DistMigrate.Guests;

/// <summary>Waits for, and brings about, the end of one QEMU process and never of another that has its number later.</summary>
internal sealed class QemuEnd : IDisposable
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(10);

    private readonly ProcessDescriptor _process;
    private readonly int _pid;

    private QemuEnd(ProcessDescriptor process, int pid)
    {
        _process = process;
        _pid = pid;
    }

    /// <summary>Holds a process; null when it is gone. One that has ended and is not reaped yet is held.</summary>
    public static QemuEnd? TryHold(int pid, long startTime)
    {
        // Held first, identified then: had the number gone to another process in between, its start time would differ.
        var process = ProcessDescriptor.TryOpen(pid);
        if (process is null)
            return null;
        var held = new QemuEnd(process, pid);
        try
        {
            if (ProcessFiles.StartTime(pid) == startTime)
                return held;
        }
        catch (GuestException e) when (e.Fault == GuestFault.Exited)
        {
            // It has ended, and its parent has reaped it, since it was held.
        }

        held.Dispose();
        return null;
    }

    /// <inheritdoc cref="ProcessDescriptor.HasEnded"/>
    public bool HasEnded => _process.HasEnded;

    /// <inheritdoc cref="ProcessDescriptor.Terminate"/>
    public void Terminate() => _process.Terminate();

    /// <inheritdoc cref="ProcessDescriptor.Kill"/>
    public void Kill() => _process.Kill();

    /// <summary>Waits for its end, and takes it out of the process table where it is our child.</summary>
    /// <returns>False when it is still there after the limit.</returns>
    public async Task<bool> WaitAsync(TimeSpan limit, TimeProvider time, CancellationToken cancellationToken)
    {
        var start = time.GetTimestamp();
        while (!HasEnded)
        {
            if (time.GetElapsedTime(start) >= limit)
                return false;
            await Task.Delay(Step, time, cancellationToken);
        }

        Libc.Reap(_pid);
        return true;
    }

    /// <inheritdoc/>
    public void Dispose() => _process.Dispose();
}

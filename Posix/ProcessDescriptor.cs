namespace DistMigrate.Posix;

/// <summary>
/// One process held by a descriptor (pidfd_open(2)): unlike its number, it never comes to mean another process.
/// </summary>
public sealed class ProcessDescriptor : IDisposable
{
    private readonly Descriptor _descriptor;

    private ProcessDescriptor(Descriptor descriptor) => _descriptor = descriptor;

    /// <summary>Holds the process that has a number now.</summary>
    /// <returns>Null when there is none. One that has ended and is not reaped yet is there.</returns>
    /// <exception cref="ErrnoException">The kernel refuses, or is older than Linux 5.3 (ENOSYS).</exception>
    public static ProcessDescriptor? TryOpen(int pid)
    {
        try
        {
            return new ProcessDescriptor(Libc.OpenProcess(pid));
        }
        catch (ErrnoException e) when (e.Errno == Errno.ESRCH)
        {
            return null;
        }
    }

    /// <summary>Whether it has ended, all its threads with it; its parent need not have reaped it.</summary>
    public bool HasEnded => Libc.IsReadable(_descriptor);

    /// <summary>Asks it to end (SIGTERM). One that has ended is no error.</summary>
    /// <exception cref="ErrnoException">It is another user's.</exception>
    public void Terminate() => Libc.SignalProcess(_descriptor, 15);

    /// <summary>Ends it (SIGKILL), also when it is stopped. One that has ended is no error.</summary>
    /// <exception cref="ErrnoException">It is another user's.</exception>
    public void Kill() => Libc.SignalProcess(_descriptor, 9);

    /// <inheritdoc/>
    public void Dispose() => _descriptor.Dispose();
}

using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>
/// Excludes every other process of this machine from working on a guest. The kernel releases it when our process and its writes
/// under way are gone, and not before, so a stopped silo that wakes up later still excludes its replacement.
/// </summary>
internal sealed class GuestLock : IDisposable
{
    private readonly Descriptor _file;

    private GuestLock(Descriptor file) => _file = file;

    /// <summary>Takes the lock of a guest.</summary>
    /// <param name="folder">The runtime folder that all silos of the machine share.</param>
    /// <param name="process">The guest's QEMU.</param>
    /// <param name="guest">Its name, for the message.</param>
    /// <exception cref="ImageException">Another process holds it.</exception>
    public static GuestLock Take(string folder, ProcessIdentity process, string guest)
    {
        Directory.CreateDirectory(folder);
        var path = Path.Combine(folder, $"guest-{process.Pid}-{process.StartTime}.lock");
        try
        {
            var file = Libc.Open(path, OpenFlags.ReadWrite | OpenFlags.Create);
            if (Libc.TryLock(file))
                return new GuestLock(file);
            file.Dispose();
            throw new ImageException(ImageFault.Busy,
                $"Another migration holds guest {guest} (QEMU process {process.Pid}). Wait for it or cancel it.");
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }

    public void Dispose() => _file.Dispose();
}

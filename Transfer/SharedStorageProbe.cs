using System.Text;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>
/// Whether two hosts see the same folder under the same path, and may both write there: the one host leaves a file with a random
/// content beside the image, the other one finds it, and creates and removes a file of its own.
/// </summary>
/// <param name="imagePath">The image's path.</param>
/// <param name="migration">The migration's id.</param>
/// <param name="time">The clock.</param>
internal sealed class SharedStorageProbe(string imagePath, string migration, TimeProvider time)
{
    /// <summary>How long network storage may show another host what was there a moment ago.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <summary>The file's path.</summary>
    public string Path { get; } = $"{imagePath}.probe.{migration}";

    /// <summary>Leaves the file.</summary>
    /// <exception cref="ImageException">The storage refuses.</exception>
    public void Leave(Guid content)
    {
        try
        {
            DurableFile.Write(Path, Encoding.ASCII.GetBytes(content.ToString()));
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }

    /// <summary>Removes the file; it may not be there.</summary>
    /// <exception cref="IOException">The storage refuses.</exception>
    /// <exception cref="UnauthorizedAccessException">The storage refuses access.</exception>
    public void Remove() => File.Delete(Path);

    /// <summary>Finds on this host what the other one left, and shows that this one may create files there too.</summary>
    /// <param name="content">What the other host left.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="ImageException">This host sees another folder there, or none, or may not write to it.</exception>
    public async Task FindAsync(Guid content, CancellationToken cancellationToken)
    {
        var started = time.GetTimestamp();
        while (!await StorageThread.RunAsync(() => IsThere(content)).WaitAsync(cancellationToken))
        {
            if (time.GetElapsedTime(started) > Patience)
            {
                throw new ImageException(ImageFault.NotFound,
                    $"This host does not find {Path}, which the guest's host has just written: the two see different storage under that path. "
                    + "Mount the same shared storage at the same path on both, or choose an image path on it.");
            }

            await Task.Delay(Pause, time, cancellationToken);
        }

        await StorageThread.RunAsync(() => StorageProbe.Run(Path + ".target", 0)).WaitAsync(cancellationToken);
    }

    private bool IsThere(Guid content)
    {
        try
        {
            using var file = Libc.Open(Path, OpenFlags.ReadOnly);
            Span<byte> found = stackalloc byte[64];
            var length = Libc.PRead(file, found, 0);
            return Guid.TryParse(Encoding.ASCII.GetString(found[..length]), out var there) && there == content;
        }
        catch (ErrnoException e) when (e.Errno is Errno.ENOENT or Errno.ENOTDIR or Errno.ESTALE)
        {
            return false;
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }
}

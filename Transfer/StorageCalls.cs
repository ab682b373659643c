using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>Calls on files whose failures are told as those of an image.</summary>
internal static class StorageCalls
{
    /// <summary>Runs them.</summary>
    /// <param name="path">What they are about.</param>
    /// <param name="calls">The calls.</param>
    /// <exception cref="ImageException">The storage failed.</exception>
    public static T Translated<T>(string path, Func<T> calls)
    {
        try
        {
            return calls();
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
        catch (Exception e) when (e is DirectoryNotFoundException)
        {
            throw new ImageException(ImageFault.NotFound, $"The folder of {path} does not exist on this host. Check the path and the mount.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ImageException(ImageFault.Storage, $"The names of {path} could not be changed: {e.Message} Look at the storage, then try again.", e);
        }
    }

    /// <inheritdoc cref="Translated{T}"/>
    public static void Translated(string path, Action calls) => Translated(path, () =>
    {
        calls();
        return true;
    });
}

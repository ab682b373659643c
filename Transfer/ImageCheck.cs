using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>Reads an image that is to be loaded, after the checks without which QEMU would crash on it or lose memory.</summary>
internal static class ImageCheck
{
    /// <summary>What an image that is not there says to the operator.</summary>
    public static ImageException Missing(string path, Exception? cause = null) =>
        new(ImageFault.NotFound, $"{path} does not exist on this host. Check the path and the mount.", cause);

    /// <summary>Reads it.</summary>
    /// <exception cref="ImageException">It does not exist, cannot be read, or is malformed.</exception>
    public static MappedRamImage Read(string path)
    {
        try
        {
            using var input = new FileImageInput(path);
            var violations = ImageVerifier.Verify(input);
            return violations.Count == 0
                ? MappedRamImage.Read(input)
                : throw new ImageException(ImageFault.Malformed,
                    $"{path} is not a well-formed image: at offset {violations[0].Offset}: {violations[0].Message}. "
                    + "See 'distmigrate verify' for all of it. It was not loaded, because QEMU would crash on it or lose memory.");
        }
        catch (ImageFormatException e)
        {
            throw new ImageException(ImageFault.Malformed, $"{path} is not a well-formed image: {e.Message}", e);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Missing(path, e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new ImageException(ImageFault.AccessDenied, $"{path} cannot be read: {e.Message} Give the silo's user access.", e);
        }
    }
}

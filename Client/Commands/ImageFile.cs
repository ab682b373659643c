using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Client.Commands;

/// <summary>Opens an image on this machine, without any silo.</summary>
internal static class ImageFile
{
    /// <exception cref="CommandException">It is not there, not a file, or may not be read.</exception>
    public static FileImageInput Open(string path)
    {
        try
        {
            if (Directory.Exists(path))
                throw new CommandException(ExitCode.NotFound, $"{path} is a folder, not an image.", "name a file in it");
            return new FileImageInput(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CommandException(ExitCode.NotFound, $"there is no image {path}.", "check the path; it is read on this machine");
        }
        catch (UnauthorizedAccessException e)
        {
            throw new CommandException(
                ExitCode.Storage, $"the image {path} may not be read: {e.Message}", "images are private to their owner; run as that user");
        }
        catch (IOException e)
        {
            throw Unreadable(path, e);
        }
    }

    /// <summary>Bytes that the file system holds for it.</summary>
    public static long AllocatedBytes(string path) => Libc.Identify(path).AllocatedBytes;

    public static CommandException Unreadable(string path, Exception cause) => new(
        ExitCode.Storage, $"the image {path} cannot be read: {cause.Message}", "check the storage, then try again", cause);
}

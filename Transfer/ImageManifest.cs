using System.Text.Json;
using DistMigrate.Guests;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>
/// <c>IMAGE.manifest.json</c>: what the guest was, so that a target can be compared with it before the load. QEMU itself checks
/// little of it: an image of a smaller guest loads into a larger one without a word.
/// </summary>
/// <param name="Schema">Version of this file's form: 1.</param>
/// <param name="ImageId">Random, made with the image; ties claims to this very image.</param>
/// <param name="ImageLength">Length of the image in bytes.</param>
/// <param name="Migration">The migration that made it.</param>
/// <param name="Saved">When it was published.</param>
/// <param name="GuestName">The guest's name.</param>
/// <param name="QmpPath">Its monitor socket on the source host.</param>
/// <param name="Source">Its QEMU process.</param>
/// <param name="Guest">What the guest was.</param>
/// <param name="Digests">Per RAMBlock one XxHash128 (hexadecimal) over the XxHash128 of every present page, in page order.</param>
public sealed record ImageManifest(
    int Schema, Guid ImageId, long ImageLength, string Migration, DateTimeOffset Saved, string GuestName, string QmpPath,
    ProcessIdentity Source, GuestDescription Guest, IReadOnlyDictionary<string, string> Digests)
{
    /// <summary>The form that this version writes and reads.</summary>
    public const int CurrentSchema = 1;

    /// <summary>Reads the manifest of a published image.</summary>
    /// <returns>Null when it has none.</returns>
    /// <exception cref="ImageException">It is damaged, of a later form, or of another image.</exception>
    public static ImageManifest? Read(string imagePath)
    {
        var path = new ImagePaths(imagePath).Manifest;
        var manifest = SideFile.Read(path, TransferJson.Default.ImageManifest);
        if (manifest is null)
            return null;
        if (manifest.Schema != CurrentSchema)
            throw new ImageException(ImageFault.Malformed, $"{path} has form {manifest.Schema}; this version reads {CurrentSchema}. Use a newer DistMigrate.");
        var length = new FileInfo(imagePath).Length;
        return manifest.ImageLength == length
            ? manifest
            : throw new ImageException(ImageFault.Mismatch,
                $"{path} tells of an image of {manifest.ImageLength} bytes, but {imagePath} has {length}. One of them was replaced; "
                + "put the right one back, or remove the manifest to load without its checks.");
    }

    /// <summary>Writes the manifest of a partial image, durable.</summary>
    internal void Write(string path, IFileSystem? files = null)
    {
        try
        {
            DurableFile.Write(path, JsonSerializer.SerializeToUtf8Bytes(this, TransferJson.Default.ImageManifest), files);
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }
}

using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>The JSON of our side files: kebab-case names as in QMP, indented for people.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower, WriteIndented = true, UseStringEnumConverter = true,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(ImageManifest))]
[JsonSerializable(typeof(Claim))]
[JsonSerializable(typeof(ClaimRelease))]
[JsonSerializable(typeof(StopRecord))]
[JsonSerializable(typeof(LoadRecord))]
internal sealed partial class TransferJson : JsonSerializerContext;

/// <summary>Reads side files, which may have been cut or edited by anyone.</summary>
internal static class SideFile
{
    /// <summary>No side file of ours comes near it.</summary>
    private const long MaxLength = 16 << 20;

    /// <summary>Reads one.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="type">What it should be.</param>
    /// <param name="files">The file system; this machine's by default.</param>
    /// <returns>Null when there is no such file.</returns>
    /// <exception cref="ImageException">It cannot be read, or is not what its name says.</exception>
    public static T? Read<T>(string path, JsonTypeInfo<T> type, IFileSystem? files = null) where T : class
    {
        try
        {
            // Whether it exists, the open tells: File.Exists answers no as well when the storage fails.
            using var file = (files ?? HostFileSystem.Instance).Open(path, OpenFlags.ReadOnly);
            var length = file.Length;
            if (length > MaxLength)
                throw new ImageException(ImageFault.Malformed, $"{path} has {length} bytes, which is too long for what it should be.");
            var content = new byte[length];
            file.ReadExactly(0, content);
            return JsonSerializer.Deserialize(content, type)
                ?? throw new ImageException(ImageFault.Malformed, $"{path} is empty. Remove it if nobody needs it.");
        }
        catch (ErrnoException e) when (e.Errno is Errno.ENOENT or Errno.ENOTDIR)
        {
            return null;
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
        catch (JsonException e)
        {
            throw new ImageException(ImageFault.Malformed, $"{path} is damaged: {e.Message} Remove it if nobody needs it.", e);
        }
        catch (IOException e)
        {
            throw new ImageException(ImageFault.Storage, $"{path} cannot be read: {e.Message}", e);
        }
    }
}

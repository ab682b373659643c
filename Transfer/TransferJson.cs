using System.Text.Json;
using System.Text.Json.Serialization;

namespace DistMigrate.Transfer;

/// <summary>The JSON of our side files: kebab-case names as in QMP, indented for people.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower, WriteIndented = true, UseStringEnumConverter = true,
    RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(ImageManifest))]
[JsonSerializable(typeof(Claim))]
[JsonSerializable(typeof(ClaimRelease))]
[JsonSerializable(typeof(StopRecord))]
internal sealed partial class TransferJson : JsonSerializerContext;

/// <summary>Reads side files, which may have been cut or edited by anyone.</summary>
internal static class SideFile
{
    /// <summary>No side file of ours comes near it.</summary>
    private const long MaxLength = 16 << 20;

    /// <summary>Reads one.</summary>
    /// <returns>Null when there is no such file.</returns>
    /// <exception cref="ImageException">It cannot be read, or is not what its name says.</exception>
    public static T? Read<T>(string path, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type) where T : class
    {
        try
        {
            var file = new FileInfo(path);
            if (!file.Exists)
                return null;
            if (file.Length > MaxLength)
                throw new ImageException(ImageFault.Malformed, $"{path} has {file.Length} bytes, which is too long for what it should be.");
            using var stream = file.OpenRead();
            return JsonSerializer.Deserialize(stream, type)
                ?? throw new ImageException(ImageFault.Malformed, $"{path} is empty. Remove it if nobody needs it.");
        }
        catch (JsonException e)
        {
            throw new ImageException(ImageFault.Malformed, $"{path} is damaged: {e.Message} Remove it if nobody needs it.", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new ImageException(ImageFault.AccessDenied, $"{path} cannot be read: {e.Message}", e);
        }
        catch (IOException e)
        {
            throw new ImageException(ImageFault.Storage, $"{path} cannot be read: {e.Message}", e);
        }
    }
}

using System.Text.Json;
using System.Text.Json.Serialization;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Who holds the lock that another host looks at; it is what the lock's file has in it.</summary>
/// <param name="Host">The host's name.</param>
/// <param name="Boot">The kernel's id of this boot, by which two hosts of one name are told apart.</param>
internal sealed record LockHolder(string Host, string Boot)
{
    public static LockHolder OfThisHost() => new(Environment.MachineName, File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim());

    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, LockHolderJson.Default.LockHolder);

    /// <summary>Reads it; null when it is not (yet) a whole description.</summary>
    public static LockHolder? TryParse(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return JsonSerializer.Deserialize(bytes, LockHolderJson.Default.LockHolder) is { Host.Length: > 0, Boot.Length: > 0 } holder ? holder : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

[JsonSerializable(typeof(LockHolder))]
internal sealed partial class LockHolderJson : JsonSerializerContext;

using System.Text.Json;

namespace DistMigrate.MappedRam;

/// <summary>The JSON at the end of the stream that describes the device sections.</summary>
/// <param name="Offset">Where the text stands.</param>
/// <param name="Length">The text's length in bytes.</param>
/// <param name="IsJson">Whether the text is a JSON object.</param>
/// <param name="Devices">The devices that it lists, with the version of their state where it names one.</param>
internal sealed record VmDescription(
    long Offset, long Length, bool IsJson, IReadOnlyDictionary<(string Name, uint Instance), uint?> Devices)
{
    /// <summary>Type byte and u32 length.</summary>
    public const int HeaderLength = 5;

    /// <summary>A guest with hundreds of CPUs and devices has a few MiB.</summary>
    private const int MaxLength = 64 << 20;

    private static readonly Dictionary<(string Name, uint Instance), uint?> NoDevices = [];

    /// <summary>
    /// Finds the vmdescription that ends exactly at <paramref name="end"/> by its type byte and length: JSON text never holds
    /// the type byte.
    /// </summary>
    public static VmDescription? Locate(ImageCursor cursor, long start, long end)
    {
        var lowest = Math.Max(start, end - MaxLength - HeaderLength);
        for (var at = cursor.FindLast(StreamFormat.VmDescription, lowest, end);
            at >= 0;
            at = cursor.FindLast(StreamFormat.VmDescription, lowest, at))
        {
            if (cursor.Peek(at + 1, sizeof(uint)) is { Length: sizeof(uint) } length
                && System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(length) == end - (at + HeaderLength))
            {
                return Parse(cursor, at + HeaderLength, end);
            }
        }

        return null;
    }

    /// <summary>Reads the text in [offset, end), at most 64 MiB of it.</summary>
    public static VmDescription Parse(ImageCursor cursor, long offset, long end)
    {
        if (end - offset > MaxLength)
        {
            return new VmDescription(offset, end - offset, IsJson: false, NoDevices);
        }

        var text = new byte[end - offset];
        for (var filled = 0; filled < text.Length;)
        {
            var bytes = cursor.Peek(offset + filled, Math.Min(text.Length - filled, 1 << 16));
            bytes.CopyTo(text.AsSpan(filled));
            filled += bytes.Length;
        }

        try
        {
            return new VmDescription(offset, text.Length, IsJson: true, ReadDevices(text));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return new VmDescription(offset, text.Length, IsJson: false, NoDevices);
        }
    }

    private static Dictionary<(string Name, uint Instance), uint?> ReadDevices(ReadOnlySpan<byte> text)
    {
        var devices = new Dictionary<(string Name, uint Instance), uint?>();
        var json = new Utf8JsonReader(text);
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("The vmdescription is a JSON object.");
        }

        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var isDeviceList = json.ValueTextEquals("devices"u8);
            json.Read();
            if (isDeviceList && json.TokenType == JsonTokenType.StartArray)
            {
                while (json.Read() && json.TokenType != JsonTokenType.EndArray)
                {
                    ReadDevice(ref json, devices);
                }
            }
            else
            {
                json.Skip();
            }
        }

        // Reading on proves that nothing but white space follows the object.
        json.Read();
        return devices;
    }

    private static void ReadDevice(ref Utf8JsonReader json, Dictionary<(string Name, uint Instance), uint?> devices)
    {
        if (json.TokenType != JsonTokenType.StartObject)
        {
            json.Skip();
            return;
        }

        string? name = null;
        uint? instance = null;
        uint? version = null;
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var property = json.GetString();
            json.Read();
            switch (property)
            {
                case "name" when json.TokenType == JsonTokenType.String:
                    name = json.GetString();
                    break;
                case "instance_id" when json.TokenType == JsonTokenType.Number && json.TryGetInt64(out var number):
                    // QEMU prints the number signed.
                    instance = unchecked((uint)number);
                    break;
                case "version" when json.TokenType == JsonTokenType.Number && json.TryGetInt64(out var number):
                    version = unchecked((uint)number);
                    break;
                default:
                    json.Skip();
                    break;
            }
        }

        if (name is not null && instance is { } known)
        {
            devices[(name, known)] = version;
        }
    }
}

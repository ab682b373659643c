using System.Globalization;
using System.Text.Json;

namespace DistMigrate.MappedRam.Journal;

/// <summary>Whose journal it is. Nothing in it changes over the life of a journal.</summary>
/// <param name="Migration">The migration's id.</param>
/// <param name="Host">The configured name of the host that the guest runs on.</param>
/// <param name="Guest">The guest's name.</param>
/// <param name="QmpPath">Its monitor socket on that host.</param>
/// <param name="Pid">Its QEMU process.</param>
/// <param name="StartTime">When that started, in clock ticks since boot (proc(5), field 22 of stat).</param>
/// <param name="ImageId">The image's random id.</param>
/// <param name="ImagePath">Where the image is to be published.</param>
/// <param name="Device">The device number of the partial image.</param>
/// <param name="Inode">Its inode.</param>
/// <param name="LayoutDigest">Where everything stands in the image: <see cref="Journal.LayoutDigest"/>, 32 hexadecimal digits.</param>
/// <param name="Blocks">The RAMBlocks in the order of the stream.</param>
/// <param name="Request">What a starting silo needs to take the migration up again; opaque here.</param>
public sealed record JournalIdentity(
    string Migration, string Host, string Guest, string QmpPath, int Pid, long StartTime, Guid ImageId, string ImagePath,
    ulong Device, ulong Inode, string LayoutDigest, IReadOnlyList<JournalBlock> Blocks, string Request)
{
    /// <summary>The sum of the blocks' pages.</summary>
    internal long TotalPages => Blocks.Sum(block => block.Pages);

    /// <summary>Reads the payload of an identity record.</summary>
    /// <exception cref="FormatException">It isn't one.</exception>
    internal static JournalIdentity Parse(ReadOnlySpan<byte> json)
    {
        JournalIdentity? identity;
        try
        {
            identity = JsonSerializer.Deserialize(json, JournalJson.Default.JournalIdentity);
        }
        catch (JsonException e)
        {
            throw new FormatException(e.Message, e);
        }

        return identity?.FindFault() is { } fault ? throw new FormatException(fault) : identity ?? throw new FormatException("it is null");
    }

    /// <summary>The payload of the identity record.</summary>
    /// <exception cref="ArgumentException">A value is out of its limits, or all together are longer than 1 MiB.</exception>
    internal byte[] ToJson()
    {
        if (FindFault() is { } fault)
        {
            throw new ArgumentException($"The identity of a journal can't be written: {fault}.");
        }

        var json = JsonSerializer.SerializeToUtf8Bytes(this, JournalJson.Default.JournalIdentity);
        return json.Length <= JournalFormat.MaxPayloadLength
            ? json
            : throw new ArgumentException($"The identity of a journal has {json.Length} bytes; {JournalFormat.MaxPayloadLength} fit.");
    }

    private string? FindFault()
    {
        if (LayoutDigest.Length != 32
            || !UInt128.TryParse(LayoutDigest, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out _))
        {
            return "the layout digest isn't 32 hexadecimal digits";
        }

        if (Blocks.Count is 0 or > ImageLayout.MaxBlocks)
        {
            return $"{Blocks.Count} RAMBlocks instead of 1 to {ImageLayout.MaxBlocks}";
        }

        var names = new HashSet<string>(StringComparer.Ordinal);
        var total = 0L;
        foreach (var block in Blocks)
        {
            if (block is null || !names.Add(block.Name) || block.Pages < 1 || block.Pages > JournalFormat.MaxTotalPages - total)
            {
                return $"RAMBlock \"{block?.Name}\" stands there twice, or its {block?.Pages} pages can't be";
            }

            total += block.Pages;
        }

        return null;
    }
}

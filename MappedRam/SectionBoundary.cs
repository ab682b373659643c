using System.Buffers.Binary;

namespace DistMigrate.MappedRam;

/// <summary>
/// Finds where sections end. A device's payload isn't self-delimiting, so its end is searched: the footer with the section's
/// own id, with something behind it that can follow. The vmdescription's list of devices makes "can follow" sharp.
/// </summary>
internal sealed class SectionBoundary(ImageCursor cursor)
{
    private const int MaxHeaderLength = 1 + sizeof(uint) + 1 + StreamFormat.MaxNameLength + sizeof(uint) + sizeof(uint);

    /// <summary>Versions of device states are small numbers.</summary>
    private const uint PlausibleVersion = 0xffff;

    /// <summary>The word that ends the data of a ram section.</summary>
    public static ReadOnlySpan<byte> EosWord => [0, 0, 0, 0, 0, 0, 0, (byte)StreamFormat.RamFlagEos];

    /// <summary>Name and instance of the ram section, as they stand behind its type byte and id.</summary>
    public static ReadOnlySpan<byte> RamNameAndInstance => [3, (byte)'r', (byte)'a', (byte)'m', 0, 0, 0, 0];

    /// <summary>Where the stream can end at most; nothing is searched behind it.</summary>
    public required long Limit { get; set; }

    /// <summary>The vmdescription, once it is found.</summary>
    public VmDescription? Description { get; set; }

    /// <summary>The ids of the iterable entries that have started.</summary>
    public HashSet<uint> StartedIds { get; } = [];

    /// <summary>Where the EOF byte must stand; -1 while no vmdescription is known.</summary>
    public long EofOffset => Description is null ? -1 : Description.Offset - VmDescription.HeaderLength - 1;

    private bool ListsDevices => Description is { Devices.Count: > 0 };

    /// <summary>Whether the ram section opens at <paramref name="offset"/>, by its name, whatever the type byte.</summary>
    public bool IsRamHeader(long offset) =>
        cursor.Peek(offset + 1 + sizeof(uint), RamNameAndInstance.Length).SequenceEqual(RamNameAndInstance);

    public bool HasFooter(long offset, uint id) =>
        cursor.Peek(offset, StreamFormat.FooterLength) is { Length: StreamFormat.FooterLength } footer
        && footer[0] == StreamFormat.SectionFooter
        && BinaryPrimitives.ReadUInt32BigEndian(footer[1..]) == id;

    /// <summary>Whether a section, a command or the end of the stream stands at <paramref name="offset"/>.</summary>
    public bool IsPlausible(long offset)
    {
        if (offset >= 0 && offset == EofOffset)
        {
            return true;
        }

        return cursor.PeekByte(offset) switch
        {
            StreamFormat.SectionFull => HasKnownHeader(offset),
            StreamFormat.SectionStart => HasHeader(offset, out _),
            StreamFormat.SectionPart or StreamFormat.SectionEnd =>
                cursor.Peek(offset + 1, sizeof(uint)) is { Length: sizeof(uint) } id
                && StartedIds.Contains(BinaryPrimitives.ReadUInt32BigEndian(id)),
            StreamFormat.Command =>
                cursor.Peek(offset + 1, sizeof(ushort) * 2) is { Length: sizeof(ushort) * 2 } command
                && StreamCommand.Find(BinaryPrimitives.ReadUInt16BigEndian(command)) is { } known
                && known.Allows(BinaryPrimitives.ReadUInt16BigEndian(command[sizeof(ushort)..])),
            StreamFormat.Eof => Description is null && IsPlausibleEnd(offset),
            _ => false,
        };
    }

    /// <summary>The end of the section whose payload begins at <paramref name="payload"/>: behind its footer.</summary>
    /// <returns>
    /// The end, and whether the footer stands before it; where it doesn't, the end is where the next section was recognised.
    /// (-1, false) when there is no sign of an end.
    /// </returns>
    public (long End, bool HasFooter) FindEnd(long payload, uint id)
    {
        Span<byte> footer = stackalloc byte[StreamFormat.FooterLength];
        footer[0] = StreamFormat.SectionFooter;
        BinaryPrimitives.WriteUInt32BigEndian(footer[1..], id);

        var doubtful = -1L;
        for (var at = cursor.Find(footer, payload, Limit); at >= 0; at = cursor.Find(footer, at + 1, Limit))
        {
            var end = at + StreamFormat.FooterLength;
            if (IsPlausible(end))
            {
                return (end, true);
            }

            // A type byte behind the footer says more than the footer alone, which may also be chance.
            if (doubtful < 0 && cursor.PeekByte(end) is (>= StreamFormat.Eof and <= StreamFormat.SectionFull) or StreamFormat.Command)
            {
                doubtful = end;
            }
        }

        if (doubtful >= 0)
        {
            return (doubtful, true);
        }

        var next = FindNext(payload + StreamFormat.FooterLength);
        var bare = cursor.Find(footer, payload, next < 0 ? Limit : next);
        return bare >= 0 ? (bare + StreamFormat.FooterLength, true) : (next, false);
    }

    /// <summary>The first place from <paramref name="from"/> on where a device section, or the known EOF, is recognised; -1 if none.</summary>
    public long FindNext(long from)
    {
        ReadOnlySpan<byte> type = [StreamFormat.SectionFull];
        var end = EofOffset >= from ? EofOffset : Limit;
        for (var at = cursor.Find(type, from, end); at >= 0; at = cursor.Find(type, at + 1, end))
        {
            if (HasKnownHeader(at))
            {
                return at;
            }
        }

        return EofOffset >= from ? EofOffset : -1;
    }

    private bool HasKnownHeader(long offset) =>
        HasHeader(offset, out var device) && (!ListsDevices || Description!.Devices.ContainsKey(device));

    private bool HasHeader(long offset, out (string Name, uint Instance) device)
    {
        device = default;
        var header = cursor.Peek(offset, MaxHeaderLength);
        const int NameStart = 1 + sizeof(uint) + 1;
        if (header.Length < NameStart || header.Length < NameStart + header[NameStart - 1] + (2 * sizeof(uint)))
        {
            return false;
        }

        var behindName = header[(NameStart + header[NameStart - 1])..];
        if (!StreamName.TryDecode(header.Slice(NameStart, header[NameStart - 1]), out var name)
            || BinaryPrimitives.ReadUInt32BigEndian(behindName[sizeof(uint)..]) > PlausibleVersion)
        {
            return false;
        }

        device = (name, BinaryPrimitives.ReadUInt32BigEndian(behindName));
        return true;
    }

    private bool IsPlausibleEnd(long eof) =>
        eof + 1 == Limit
        || cursor.PeekByte(eof + 1) == StreamFormat.VmDescription
        || (Limit < cursor.Length && cursor.SkipZeros(eof, Limit) == Limit);
}

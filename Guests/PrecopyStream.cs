using System.Buffers.Binary;
using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>
/// Takes the device state out of the stream that a stopped guest's <c>migrate</c> sends: configuration, "ram" START, PARTs and
/// END, whose pages are passed over, then the devices (grammar: QEMU 10.0 migration/savevm.c and ram.c). Device payloads have no
/// length, so everything from the END's footer to the EOF byte is kept as it is.
/// </summary>
internal static class PrecopyStream
{
    /// <summary>Far above what device state takes (tens of KiB to a few MiB); bounds what a broken stream can make us hold.</summary>
    public const int DeviceStateLimit = 256 * 1024 * 1024;

    /// <summary>Reads to the end of the stream.</summary>
    /// <exception cref="GuestException">DeviceState: the stream is cut short or not of the grammar; Unsupported: it holds a section
    /// that cannot be carried over, such as virtio-mem's.</exception>
    public static async Task<DeviceSections> ReadAsync(Stream stream, CancellationToken cancellationToken)
    {
        var reader = new BufferedStreamReader(stream);
        if (await reader.UInt32Async(cancellationToken) != StreamFormat.FileMagic || await reader.UInt32Async(cancellationToken) != StreamFormat.FileVersion)
            throw Malformed(reader, "it does not start as a version 3 migration stream");

        var blocks = new Dictionary<string, ulong>(StringComparer.Ordinal);
        var ignoresShared = false;
        uint? ram = null;
        string? current = null;
        for (var ended = false; !ended;)
        {
            var type = await reader.ByteAsync(cancellationToken);
            switch (type)
            {
                case StreamFormat.Configuration when ram is null:
                    ignoresShared = await ConfigurationAsync(reader, cancellationToken);
                    break;
                case StreamFormat.Command:
                    await reader.UInt16Async(cancellationToken);
                    await reader.SkipAsync(await reader.UInt16Async(cancellationToken), cancellationToken);
                    break;
                case StreamFormat.SectionStart when ram is null:
                    ram = await StartAsync(reader, cancellationToken);
                    await BlocksAsync(reader, blocks, ignoresShared, cancellationToken);
                    current = await PagesAsync(reader, blocks, current, cancellationToken);
                    await FooterAsync(reader, ram.Value, cancellationToken);
                    break;
                case StreamFormat.SectionPart or StreamFormat.SectionEnd when ram is not null:
                    if (await reader.UInt32Async(cancellationToken) != ram)
                        throw Unsized(reader, "an iterable section beside \"ram\"");
                    current = await PagesAsync(reader, blocks, current, cancellationToken);
                    await FooterAsync(reader, ram.Value, cancellationToken);
                    ended = type == StreamFormat.SectionEnd;
                    break;
                case StreamFormat.SectionStart or StreamFormat.SectionFull:
                    await reader.UInt32Async(cancellationToken);
                    throw Unsized(reader, $"a section \"{await NameAsync(reader, cancellationToken)}\" before the end of \"ram\"");
                default:
                    throw Malformed(reader, $"section type 0x{type:x2} is not expected here");
            }
        }

        return Devices(await reader.RestAsync(DeviceStateLimit, cancellationToken));
    }

    /// <summary>Parts the bytes behind "ram" into sections and vmdescription.</summary>
    /// <param name="rest">Device sections, EOF, and if QEMU sent one the vmdescription.</param>
    /// <exception cref="GuestException">DeviceState: they are cut short.</exception>
    internal static DeviceSections Devices(ReadOnlyMemory<byte> rest)
    {
        var end = EndOfSections(rest.Span);
        var sections = end < 0 ? default : rest[..end];
        if (end < 0 || !AreSections(sections.Span))
            throw new GuestException(GuestFault.DeviceState, $"QEMU's device state ({rest.Length} bytes) is cut short or ends without its EOF mark.");
        return new DeviceSections(sections, end + 1 == rest.Length ? ReadOnlyMemory<byte>.Empty : rest[(end + 6)..]);
    }

    /// <summary>Whether the bytes begin with a SECTION_FULL and end with a footer.</summary>
    internal static bool AreSections(ReadOnlySpan<byte> sections) =>
        sections.Length > StreamFormat.FooterLength && sections[0] == StreamFormat.SectionFull && sections[^StreamFormat.FooterLength] == StreamFormat.SectionFooter;

    /// <summary>
    /// Where the EOF byte is. The vmdescription is the last thing of the stream and its JSON holds no control characters, so the
    /// first NUL from behind that is followed by type, fitting length and a brace is the EOF; without one the last byte is.
    /// </summary>
    private static int EndOfSections(ReadOnlySpan<byte> rest)
    {
        if (rest.Length > 0 && rest[^1] == (byte)'}')
        {
            for (var i = rest.Length - 8; i >= 0; i--)
            {
                if (rest[i] == StreamFormat.Eof && rest[i + 1] == StreamFormat.VmDescription && rest[i + 6] == (byte)'{'
                    && BinaryPrimitives.ReadUInt32BigEndian(rest[(i + 2)..]) == (uint)(rest.Length - i - 6))
                    return i;
            }
        }

        return rest.Length > 0 && rest[^1] == StreamFormat.Eof ? rest.Length - 1 : -1;
    }

    private static async Task<bool> ConfigurationAsync(BufferedStreamReader reader, CancellationToken cancellationToken)
    {
        var length = await reader.UInt32Async(cancellationToken);
        if (length > StreamFormat.MaxMachineNameLength)
            throw Malformed(reader, $"a machine name of {length} bytes");
        await reader.TextAsync((int)length, cancellationToken);

        // A subsection has no length field: each is known by its name.
        var ignoresShared = false;
        while (await reader.PeekAsync(cancellationToken) == StreamFormat.Subsection)
        {
            await reader.ByteAsync(cancellationToken);
            var name = await NameAsync(reader, cancellationToken);
            if (await reader.UInt32Async(cancellationToken) != StreamFormat.SubsectionVersion)
                throw Malformed(reader, $"subsection {name} has an unknown version");
            switch (name)
            {
                case StreamFormat.TargetPageBitsSubsection:
                    if (await reader.UInt32Async(cancellationToken) != Page.Shift)
                        throw Malformed(reader, $"target pages are not of {Page.Size} bytes");
                    break;
                case StreamFormat.CapabilitiesSubsection:
                    var count = await reader.UInt32Async(cancellationToken);
                    if (count > 64)
                        throw Malformed(reader, $"{count} capabilities");
                    for (var i = 0; i < count; i++)
                    {
                        var capability = await NameAsync(reader, cancellationToken);
                        if (capability != StreamFormat.IgnoreSharedCapability)
                            throw Malformed(reader, $"capability {capability} was not asked for");
                        ignoresShared = true;
                    }

                    break;
                case StreamFormat.UuidSubsection:
                    await reader.SkipAsync(16, cancellationToken);
                    break;
                default:
                    throw Malformed(reader, $"subsection {name} is not known");
            }
        }

        return ignoresShared;
    }

    private static async Task<uint> StartAsync(BufferedStreamReader reader, CancellationToken cancellationToken)
    {
        var id = await reader.UInt32Async(cancellationToken);
        var name = await NameAsync(reader, cancellationToken);
        if (name != StreamFormat.RamSectionName)
            throw Unsized(reader, $"an iterable section \"{name}\"");
        if (await reader.UInt32Async(cancellationToken) != StreamFormat.RamSectionInstance || await reader.UInt32Async(cancellationToken) != StreamFormat.RamSectionVersion)
            throw Malformed(reader, "the \"ram\" section is not instance 0 of version 4");
        return id;
    }

    private static async Task BlocksAsync(BufferedStreamReader reader, Dictionary<string, ulong> blocks, bool ignoresShared, CancellationToken cancellationToken)
    {
        var word = await reader.UInt64Async(cancellationToken);
        if ((word & StreamFormat.RamFlagMask) != StreamFormat.RamFlagMemSize)
            throw Malformed(reader, "\"ram\" does not start with its list of RAMBlocks");
        for (var left = word & ~StreamFormat.RamFlagMask; left > 0;)
        {
            var name = await NameAsync(reader, cancellationToken);
            var used = await reader.UInt64Async(cancellationToken);
            if (ignoresShared)
                await reader.UInt64Async(cancellationToken);
            if (used > left || used % Page.Size != 0 || used == 0 || !blocks.TryAdd(name, used))
                throw Malformed(reader, $"RAMBlock \"{name}\" of {used} bytes does not fit its list");
            left -= used;
        }
    }

    /// <summary>Passes over page records up to the EOS word; gives the RAMBlock that a later CONTINUE refers to.</summary>
    private static async Task<string?> PagesAsync(BufferedStreamReader reader, Dictionary<string, ulong> blocks, string? current, CancellationToken cancellationToken)
    {
        while (true)
        {
            var word = await reader.UInt64Async(cancellationToken);
            var flags = word & StreamFormat.RamFlagMask;
            var offset = word & ~StreamFormat.RamFlagMask;
            if (flags == StreamFormat.RamFlagEos)
                return current;
            var kind = flags & ~StreamFormat.RamFlagContinue;
            if (kind is not (StreamFormat.RamFlagZero or StreamFormat.RamFlagPage))
                throw Malformed(reader, $"RAM flags 0x{flags:x} were not asked for");
            if ((flags & StreamFormat.RamFlagContinue) == 0)
                current = await NameAsync(reader, cancellationToken);
            if (current is null || !blocks.TryGetValue(current, out var used) || offset >= used)
                throw Malformed(reader, $"a page at 0x{offset:x} lies outside RAMBlock \"{current}\"");
            if (kind == StreamFormat.RamFlagPage)
                await reader.SkipAsync(Page.Size, cancellationToken);
            else if (await reader.ByteAsync(cancellationToken) != 0)
                throw Malformed(reader, "a page is filled with another byte than zero");
        }
    }

    private static async Task FooterAsync(BufferedStreamReader reader, uint id, CancellationToken cancellationToken)
    {
        if (await reader.ByteAsync(cancellationToken) != StreamFormat.SectionFooter || await reader.UInt32Async(cancellationToken) != id)
            throw Malformed(reader, "the footer of \"ram\" is missing");
    }

    private static async Task<string> NameAsync(BufferedStreamReader reader, CancellationToken cancellationToken) =>
        await reader.TextAsync(await reader.ByteAsync(cancellationToken), cancellationToken);

    private static GuestException Malformed(BufferedStreamReader reader, string why) =>
        new(GuestFault.DeviceState, $"QEMU's migration stream cannot be read at byte {reader.Position}: {why}.");

    private static GuestException Unsized(BufferedStreamReader reader, string what) => new(GuestFault.Unsupported,
        $"QEMU's migration stream holds {what} (byte {reader.Position}), whose length is not told, so it cannot be carried over. Unplug the device that sends it (virtio-mem, VFIO) and save again.");
}

using System.Buffers.Binary;
using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>
/// Reads the stream that QEMU's <c>migrate</c> sends: configuration, "ram" START, PARTs and END, whose page records go to a sink, then
/// the devices (grammar: QEMU 10.0 migration/savevm.c and ram.c). Device payloads have no length, so everything from the END's footer
/// to the EOF byte is kept as it is.
/// </summary>
internal sealed class PrecopyStream
{
    /// <summary>Far above what device state takes (tens of KiB to a few MiB); bounds what a broken stream can make us hold.</summary>
    public const int DeviceStateLimit = 256 * 1024 * 1024;

    private readonly MigrationStreamReader _reader;
    private readonly IRamStreamSink? _sink;
    private readonly bool _isSnapshot;
    private readonly MultifdSync? _multifd;

    // Whether the channels meet at the end of each section of pages, as with machines before 8.1, instead of at words of their own
    // (multifd-flush-after-each-section): those have one in the first section already.
    private bool? _meetsEachSection;
    private readonly List<RamBlockSpec> _blocks = [];
    private readonly Dictionary<string, int> _indexes = new(StringComparer.Ordinal);

    // The RAMBlock that a record with CONTINUE refers to; -1 before the first one.
    private int _current = -1;

    private PrecopyStream(Stream stream, IRamStreamSink? sink, bool isSnapshot, MultifdSync? multifd)
    {
        _reader = new MigrationStreamReader(stream);
        _sink = sink;
        _isSnapshot = isSnapshot;
        _multifd = multifd;
    }

    /// <summary>Reads to the end of the stream; the calling thread waits for its bytes.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="sink">Takes the pages; null passes over them.</param>
    /// <param name="isSnapshot">Whether it is of a <c>background-snapshot</c>: the devices then follow the last PART, and there is no END
    /// (bg_migration_thread of migration/migration.c).</param>
    /// <param name="multifd">Where it waits for the other channels of a multifd stream; null where there are none.</param>
    /// <exception cref="GuestException">DeviceState: the stream is cut short or not of the grammar; Unsupported: it holds a section
    /// that cannot be carried over, such as virtio-mem's.</exception>
    public static DeviceSections Read(Stream stream, IRamStreamSink? sink = null, bool isSnapshot = false, MultifdSync? multifd = null) =>
        new PrecopyStream(stream, sink, isSnapshot, multifd).Read();

    private DeviceSections Read()
    {
        if (_reader.UInt32() != StreamFormat.FileMagic || _reader.UInt32() != StreamFormat.FileVersion)
            throw Malformed("it does not start as a version 3 migration stream");

        var ignoresShared = false;
        uint? ram = null;
        for (var ended = false; !ended && !AreDevicesNext(ram);)
        {
            var type = _reader.Byte();
            switch (type)
            {
                case StreamFormat.Configuration when ram is null:
                    ignoresShared = ReadConfiguration();
                    break;
                case StreamFormat.Command:
                    _reader.UInt16();
                    _reader.Skip(_reader.UInt16());
                    break;
                case StreamFormat.SectionStart when ram is null:
                    ram = ReadStart();
                    ReadBlocks(ignoresShared);
                    ReadPages();
                    ReadFooter(ram.Value);
                    break;
                case StreamFormat.SectionPart or StreamFormat.SectionEnd when ram is not null:
                    if (_reader.UInt32() != ram)
                        throw Unsized("an iterable section beside \"ram\"");
                    ReadPages();
                    ReadFooter(ram.Value);
                    ended = type == StreamFormat.SectionEnd;
                    break;
                case StreamFormat.SectionStart or StreamFormat.SectionFull:
                    _reader.UInt32();
                    throw Unsized($"a section \"{ReadName()}\" before the end of \"ram\"");
                default:
                    throw Malformed($"section type 0x{type:x2} is not expected here");
            }
        }

        return Devices(_reader.Rest(DeviceStateLimit));
    }

    private bool AreDevicesNext(uint? ram) => _isSnapshot && ram is not null && _reader.Peek() == StreamFormat.SectionFull;

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

    private bool ReadConfiguration()
    {
        var length = _reader.UInt32();
        if (length > StreamFormat.MaxMachineNameLength)
            throw Malformed($"a machine name of {length} bytes");
        _reader.Text((int)length);

        // A subsection has no length field: each is known by its name.
        var ignoresShared = false;
        while (_reader.Peek() == StreamFormat.Subsection)
        {
            _reader.Byte();
            var name = ReadName();
            if (_reader.UInt32() != StreamFormat.SubsectionVersion)
                throw Malformed($"subsection {name} has an unknown version");
            switch (name)
            {
                case StreamFormat.TargetPageBitsSubsection:
                    if (_reader.UInt32() != Page.Shift)
                        throw Malformed($"target pages are not of {Page.Size} bytes");
                    break;
                case StreamFormat.CapabilitiesSubsection:
                    ignoresShared = ReadCapabilities();
                    break;
                case StreamFormat.UuidSubsection:
                    _reader.Skip(16);
                    break;
                default:
                    throw Malformed($"subsection {name} is not known");
            }
        }

        return ignoresShared;
    }

    private bool ReadCapabilities()
    {
        var count = _reader.UInt32();
        if (count > 64)
            throw Malformed($"{count} capabilities");
        for (var i = 0; i < count; i++)
        {
            var capability = ReadName();
            if (capability != StreamFormat.IgnoreSharedCapability)
                throw Malformed($"capability {capability} was not asked for");
        }

        return count > 0;
    }

    private uint ReadStart()
    {
        var id = _reader.UInt32();
        var name = ReadName();
        if (name != StreamFormat.RamSectionName)
            throw Unsized($"an iterable section \"{name}\"");
        if (_reader.UInt32() != StreamFormat.RamSectionInstance || _reader.UInt32() != StreamFormat.RamSectionVersion)
            throw Malformed("the \"ram\" section is not instance 0 of version 4");
        return id;
    }

    private void ReadBlocks(bool ignoresShared)
    {
        var word = _reader.UInt64();
        if ((word & StreamFormat.RamFlagMask) != StreamFormat.RamFlagMemSize)
            throw Malformed("\"ram\" does not start with its list of RAMBlocks");
        for (var left = word & ~StreamFormat.RamFlagMask; left > 0;)
        {
            var name = ReadName();
            var used = _reader.UInt64();
            if (ignoresShared)
                _reader.UInt64();
            if (used > left || used % Page.Size != 0 || used is 0 or > long.MaxValue || !_indexes.TryAdd(name, _blocks.Count))
                throw Malformed($"RAMBlock \"{name}\" of {used} bytes does not fit its list");
            _blocks.Add(new RamBlockSpec(name, (long)used));
            left -= used;
        }

        _sink?.Begin(_blocks);
    }

    /// <summary>Reads page records up to the EOS word.</summary>
    private void ReadPages()
    {
        while (true)
        {
            var word = _reader.UInt64();
            var flags = word & StreamFormat.RamFlagMask;
            var offset = word & ~StreamFormat.RamFlagMask;
            if (flags == StreamFormat.RamFlagMultifdFlush && _multifd is not null)
            {
                _meetsEachSection ??= false;
                _multifd.Meet();
                continue;
            }

            if (flags == StreamFormat.RamFlagEos)
            {
                if (_multifd is not null && (_meetsEachSection ??= true))
                    _multifd.Meet();
                _sink?.EndOfSection();
                return;
            }

            var kind = flags & ~StreamFormat.RamFlagContinue;
            if (kind is not (StreamFormat.RamFlagZero or StreamFormat.RamFlagPage))
                throw Malformed($"RAM flags 0x{flags:x} were not asked for");
            if ((flags & StreamFormat.RamFlagContinue) == 0)
            {
                var name = ReadName();
                if (!_indexes.TryGetValue(name, out _current))
                    throw Malformed($"a page at 0x{offset:x} lies in RAMBlock \"{name}\", which is not in its list");
            }

            if (_current < 0 || offset >= (ulong)_blocks[_current].UsedLength)
                throw Malformed($"a page at 0x{offset:x} lies outside RAMBlock \"{(_current < 0 ? "" : _blocks[_current].Name)}\"");
            if (kind == StreamFormat.RamFlagZero && _reader.Byte() != 0)
                throw Malformed("a page is filled with another byte than zero");
            var content = kind == StreamFormat.RamFlagPage ? _reader.Bytes(Page.Size) : default;
            _sink?.Page(_current, (long)(offset / Page.Size), content);
        }
    }

    private void ReadFooter(uint id)
    {
        if (_reader.Byte() != StreamFormat.SectionFooter || _reader.UInt32() != id)
            throw Malformed("the footer of \"ram\" is missing");
    }

    private string ReadName() => _reader.Text(_reader.Byte());

    private GuestException Malformed(string why) =>
        new(GuestFault.DeviceState, $"QEMU's migration stream cannot be read at byte {_reader.Position}: {why}.");

    private GuestException Unsized(string what) => new(GuestFault.Unsupported,
        $"QEMU's migration stream holds {what} (byte {_reader.Position}), whose length is not told, so it cannot be carried over. Unplug the device that sends it (virtio-mem, VFIO) and save again.");
}

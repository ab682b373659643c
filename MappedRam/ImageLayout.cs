using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace DistMigrate.MappedRam;

/// <summary>
/// Where everything of an image stands, as a function of the machine name and the RAMBlocks alone; and the bytes of all
/// that is neither bitmap nor page. The result is what QEMU 10 itself would write.
/// </summary>
/// <remarks>
/// <code>
/// 0           magic, version, configuration, ram SECTION_START, total of the used lengths
/// per block:  name, used length, mapped-ram header                   HeaderOffset
///             shadow bitmap                                          BitmapOffset = end of the header
///             pages                                                  PagesOffset  = end of the bitmap, rounded up to 1 MiB
/// last block's PagesEnd = TailOffset:
///             EOS, footer, ram SECTION_PART, SWITCHOVER_START, ram SECTION_END, device sections, EOF, vmdescription
/// </code>
/// The next block's header stands exactly at <see cref="RamBlockLayout.PagesEnd"/>, where QEMU's loader looks for it.
/// </remarks>
public sealed partial class ImageLayout
{
    /// <summary>The most RAMBlocks that an image may have; guests have a few, one per DIMM and option ROM.</summary>
    public const int MaxBlocks = 65_536;

    private readonly Dictionary<string, RamBlockLayout> _byName;

    private ImageLayout(string machineName, uint ramSectionId, RamBlockLayout[] blocks)
    {
        MachineName = machineName;
        RamSectionId = ramSectionId;
        Blocks = blocks;
        TotalRam = blocks.Sum(block => block.UsedLength);
        TailOffset = blocks[^1].PagesEnd;
        _byName = blocks.ToDictionary(block => block.Name, StringComparer.Ordinal);
    }

    /// <summary>The machine type's name, for example <c>pc-q35-10.0</c>; the loader compares it with its own.</summary>
    public string MachineName { get; }

    /// <summary>The id that ties the parts of the ram section together.</summary>
    public uint RamSectionId { get; }

    /// <summary>The RAMBlocks in the order of the stream.</summary>
    public IReadOnlyList<RamBlockLayout> Blocks { get; }

    /// <summary>The sum of the used lengths, in bytes.</summary>
    public long TotalRam { get; }

    /// <summary>Where the tail begins: the EOS of the ram SECTION_START, directly behind the last block's pages.</summary>
    public long TailOffset { get; }

    /// <summary>The layout of the RAMBlock of that name.</summary>
    /// <exception cref="KeyNotFoundException">The image has no such RAMBlock.</exception>
    public RamBlockLayout this[string name] =>
        _byName.TryGetValue(name, out var block)
            ? block
            : throw new KeyNotFoundException($"The image has no RAMBlock \"{name}\"; it has {string.Join(", ", _byName.Keys)}.");

    /// <summary>Lays out an image.</summary>
    /// <param name="machineName">The machine type's name, without QOM's suffix "-machine": 1 to 255 bytes of UTF-8.</param>
    /// <param name="blocks">The migratable RAMBlocks in QEMU's order: at least one.</param>
    /// <param name="ramSectionId">
    /// The ram section's id; any but 0, which the loader takes for the id of entries that it has not seen.
    /// </param>
    /// <exception cref="ArgumentException">A name, a length or the number of blocks is not what the format can carry.</exception>
    /// <exception cref="OverflowException">The offsets exceed 2^63 bytes.</exception>
    public static ImageLayout Create(
        string machineName, IReadOnlyList<RamBlockSpec> blocks, uint ramSectionId = StreamFormat.DefaultRamSectionId)
    {
        CheckName(machineName, "machine", StreamFormat.MaxMachineNameLength, nameof(machineName));
        CheckBlocks(blocks);
        ArgumentOutOfRangeException.ThrowIfZero(ramSectionId);

        var layouts = new RamBlockLayout[blocks.Count];
        var headerOffset = (long)Preamble(machineName, ramSectionId, totalRam: 0).Length;
        var end = headerOffset;
        for (var i = 0; i < layouts.Length; i++)
        {
            var (name, usedLength) = blocks[i];
            checked
            {
                var bitmapOffset = end + BlockHeaderLength(name);
                var bitmapEnd = bitmapOffset + PageBitmap.ByteLength(Page.Count(usedLength));
                var pagesOffset = (bitmapEnd + StreamFormat.PagesAlignment - 1) / StreamFormat.PagesAlignment * StreamFormat.PagesAlignment;
                layouts[i] = new RamBlockLayout(name, usedLength, end, bitmapOffset, pagesOffset);
                end = pagesOffset + usedLength;
            }
        }

        return new ImageLayout(machineName, ramSectionId, layouts);
    }

    /// <summary>
    /// Everything before <see cref="TailOffset"/> that is neither bitmap nor page: one piece per block header, the first of
    /// them with all that stands before it. What no piece, bitmap or page covers stays a hole.
    /// </summary>
    public IReadOnlyList<ImagePiece> Headers()
    {
        var pieces = new ImagePiece[Blocks.Count];
        for (var i = 0; i < pieces.Length; i++)
        {
            var block = Blocks[i];
            var header = new StreamWriter()
                .Name(block.Name)
                .U64((ulong)block.UsedLength)
                .U32(StreamFormat.MappedRamHeaderVersion)
                .U64(Page.Size)
                .U64((ulong)block.BitmapOffset)
                .U64((ulong)block.PagesOffset)
                .ToArray();
            pieces[i] = i == 0
                ? new ImagePiece(0, (byte[])[.. Preamble(MachineName, RamSectionId, TotalRam), .. header])
                : new ImagePiece(block.HeaderOffset, header);
        }

        return pieces;
    }

    /// <summary>
    /// The image's bytes from <see cref="TailOffset"/> to its end. They make the image loadable, so they are written once,
    /// after bitmaps and pages are durable.
    /// </summary>
    /// <param name="devices">The device state; an empty vmdescription is written as <c>{}</c>, which the loader accepts.</param>
    public byte[] Tail(DeviceSections devices)
    {
        ArgumentNullException.ThrowIfNull(devices);
        var tail = new StreamWriter()
            .U64(StreamFormat.RamFlagEos).Footer(RamSectionId)
            .U8(StreamFormat.SectionPart).U32(RamSectionId).U64(StreamFormat.RamFlagEos).Footer(RamSectionId);
        if (HasSwitchoverStart(MachineName))
        {
            tail.U8(StreamFormat.Command).U16(StreamFormat.CommandSwitchoverStart).U16(0);
        }

        var description = devices.VmDescription.IsEmpty ? "{}"u8 : devices.VmDescription.Span;
        return tail
            .U8(StreamFormat.SectionEnd).U32(RamSectionId).U64(StreamFormat.RamFlagEos).Footer(RamSectionId)
            .Bytes(devices.Sections.Span)
            .U8(StreamFormat.Eof)
            .U8(StreamFormat.VmDescription).U32((uint)description.Length).Bytes(description)
            .ToArray();
    }

    /// <summary>
    /// Whether a machine type sends SWITCHOVER_START: a compatibility property turns it off in versioned types below 10.0;
    /// types without a version, such as microvm, always are QEMU's newest.
    /// </summary>
    private static bool HasSwitchoverStart(string machineName)
    {
        var version = MachineVersion().Match(machineName);
        return !version.Success
            || !int.TryParse(version.Groups["major"].Value, CultureInfo.InvariantCulture, out var major)
            || major >= 10;
    }

    [GeneratedRegex(@"-(?<major>[0-9]+)\.[0-9]+(\.[0-9]+)?$", RegexOptions.ExplicitCapture)]
    private static partial Regex MachineVersion();

    /// <summary>From the magic to the total of the used lengths, which the first block header follows.</summary>
    private static byte[] Preamble(string machineName, uint ramSectionId, long totalRam) =>
        new StreamWriter()
            .U32(StreamFormat.FileMagic)
            .U32(StreamFormat.FileVersion)
            .U8(StreamFormat.Configuration).LongName(machineName)
            .U8(StreamFormat.Subsection).Name(StreamFormat.CapabilitiesSubsection).U32(StreamFormat.SubsectionVersion)
            .U32(1).Name(StreamFormat.MappedRamCapability)
            .SectionHeader(
                StreamFormat.SectionStart,
                ramSectionId,
                StreamFormat.RamSectionName,
                StreamFormat.RamSectionInstance,
                StreamFormat.RamSectionVersion)
            .U64((ulong)totalRam | StreamFormat.RamFlagMemSize)
            .ToArray();

    private static int BlockHeaderLength(string name) =>
        1 + Encoding.UTF8.GetByteCount(name) + sizeof(ulong) + StreamFormat.MappedRamHeaderLength;

    private static void CheckBlocks(IReadOnlyList<RamBlockSpec> blocks)
    {
        ArgumentNullException.ThrowIfNull(blocks);
        if (blocks.Count is 0 or > MaxBlocks)
        {
            throw new ArgumentException($"An image has 1 to {MaxBlocks} RAMBlocks, not {blocks.Count}.", nameof(blocks));
        }

        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, usedLength) in blocks)
        {
            CheckName(name, "RAMBlock", StreamFormat.MaxNameLength, nameof(blocks));
            if (!names.Add(name))
            {
                throw new ArgumentException($"Two RAMBlocks have the name \"{name}\".", nameof(blocks));
            }

            if (usedLength <= 0 || usedLength % Page.Size != 0 || usedLength >> Page.Shift > PageBitmap.MaxPageCount)
            {
                throw new ArgumentException(
                    $"RAMBlock \"{name}\" has a used length of {usedLength} bytes; it must be a positive multiple of {Page.Size}"
                    + $" and at most {PageBitmap.MaxPageCount} pages.",
                    nameof(blocks));
            }
        }
    }

    private static void CheckName(string name, string what, int maxLength, string parameter)
    {
        ArgumentNullException.ThrowIfNull(name, parameter);
        if (!StreamName.IsValid(name) || Encoding.UTF8.GetByteCount(name) > maxLength)
        {
            throw new ArgumentException(
                $"A {what} name has 1 to {maxLength} bytes of UTF-8 without control characters, unlike \"{name}\".", parameter);
        }
    }
}

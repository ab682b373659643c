using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace DistMigrate.MappedRam;

/// <summary>
/// Reads the RAMBlock list of the ram SECTION_START, from the word MEM_SIZE to the EOS. The list is its own guide: each block's
/// pages end where the next header or the EOS stands. The total and the lengths are checked against that.
/// </summary>
internal sealed class RamReader(IImageInput input, ImageCursor cursor, RegionMap regions, Action<long, ImageRule, string> report)
{
    private const ulong SearchDistance = 1 << 20;

    private const int BitmapChunkWords = 128 * 1024;

    private readonly List<(RamBlockLayout Layout, PageBitmap? Shadow)> _blocks = [];
    private readonly List<long> _usedLengthFields = [];
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);

    /// <summary>Headers may form a circle; looking ahead ends after as many as an image can have.</summary>
    private int _lookAheads = ImageLayout.MaxBlocks;

    private ulong _total;
    private ulong _sum;

    /// <summary>Version 1 and page size 4096, with which every mapped-ram header begins.</summary>
    private static ReadOnlySpan<byte> HeaderStart => [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x10, 0];

    /// <summary>The blocks; a bitmap is empty where it could not be read.</summary>
    public IReadOnlyList<MappedRamBlock> Blocks =>
        [.. _blocks.Select(block => new MappedRamBlock(block.Layout, block.Shadow ?? new PageBitmap(0)))];

    /// <summary>Whether every bitmap was read, and no page is present in any.</summary>
    public bool HasNoPages => _blocks.Count > 0 && _blocks.All(block => block.Shadow is { } shadow && shadow.Count() == 0);

    /// <summary>Reads the list; afterwards the cursor stands on the EOS.</summary>
    /// <exception cref="ImageFormatException">The end of the list can't be found.</exception>
    public void Read()
    {
        var totalOffset = cursor.Position;
        var word = cursor.U64("the total of the RAMBlocks' lengths");
        _total = word & ~StreamFormat.RamFlagMask;
        if ((word & StreamFormat.RamFlagMask) != StreamFormat.RamFlagMemSize)
        {
            report(totalOffset, ImageRule.RamFlags,
                $"the RAMBlock list opens with the flags 0x{word & StreamFormat.RamFlagMask:x} instead of MEM_SIZE (0x4)");
        }

        // What was read until then is checked all the same.
        ImageFormatException? unreadable = null;
        try
        {
            while (!AtEnd())
            {
                ReadBlock();
            }
        }
        catch (ImageFormatException e)
        {
            unreadable = e;
        }

        if (unreadable is null && _sum != _total)
        {
            report(totalOffset, ImageRule.RamTotal,
                $"the total is {_total} bytes, but the RAMBlocks have {_sum}: QEMU would read past the list or stop within it");
        }

        if (unreadable is null && _blocks.Count == 0)
        {
            report(cursor.Position, ImageRule.BlockCount, "the RAMBlock list is empty");
        }

        CheckOverlaps();
        ReadBitmaps();
        if (unreadable is not null)
        {
            throw unreadable;
        }
    }

    private bool AtEnd()
    {
        var at = cursor.Position;
        if (IsEos(at) || (_sum == _total && !LooksLikeBlock(at, strong: true)))
        {
            return true;
        }

        if (LooksLikeBlock(at, strong: false))
        {
            return false;
        }

        var isHole = cursor.SkipZeros(at, Math.Min(at + Page.Size, cursor.Length)) == Math.Min(at + Page.Size, cursor.Length);
        throw isHole && _blocks.Count > 0
            ? new ImageFormatException(
                _usedLengthFields[^1], ImageRule.UsedLength,
                $"the used length {_blocks[^1].Layout.UsedLength} of RAMBlock \"{_blocks[^1].Layout.Name}\" leads to 0x{at:x},"
                + " where neither a block header nor the EOS stands")
            : new ImageFormatException(
                at, ImageRule.BlockHeader, $"neither a block header nor the EOS; {_sum} of {_total} bytes of RAM are listed so far");
    }

    /// <summary>A damaged field shall not hide a block: its name, or its version and page size, are enough to know one (both, if strong).</summary>
    private bool LooksLikeBlock(long at, bool strong)
    {
        var header = cursor.Peek(at, 1 + StreamFormat.MaxNameLength + sizeof(ulong) + StreamFormat.MappedRamHeaderLength);
        if (header.IsEmpty || header[0] == 0 || header.Length < 1 + header[0] + sizeof(ulong) + StreamFormat.MappedRamHeaderLength)
        {
            return false;
        }

        var hasName = StreamName.TryDecode(header.Slice(1, header[0]), out _);
        var hasHeader = header.Slice(1 + header[0] + sizeof(ulong), HeaderStart.Length).SequenceEqual(HeaderStart);
        return strong ? hasName && hasHeader : hasName || hasHeader;
    }

    private void ReadBlock()
    {
        if (_blocks.Count == ImageLayout.MaxBlocks)
        {
            throw new ImageFormatException(cursor.Position, ImageRule.BlockCount, $"more than {ImageLayout.MaxBlocks} RAMBlocks");
        }

        var header = ReadHeader();
        CheckHeader(header);
        regions.Add(header.Start, header.End - header.Start, $"the header of RAMBlock \"{header.Name}\"");
        Place(header);
    }

    private BlockHeader ReadHeader()
    {
        var start = cursor.Position;
        var nameLength = cursor.U8("a RAMBlock's name");
        if (!StreamName.TryDecode(cursor.Take(nameLength, "a RAMBlock's name"), out var name))
        {
            report(start, ImageRule.BlockName, $"the name \"{name}\" of a RAMBlock isn't text");
        }

        if (!_names.Add(name))
        {
            report(start, ImageRule.DuplicateBlock, $"RAMBlock \"{name}\" is listed twice");
        }

        var what = $"the header of RAMBlock \"{name}\"";
        return new BlockHeader(
            start,
            name,
            UsedLength: cursor.U64(what),
            Version: cursor.U32(what),
            PageSize: cursor.U64(what),
            BitmapOffset: cursor.U64(what),
            PagesOffset: cursor.U64(what),
            End: cursor.Position);
    }

    private void CheckHeader(BlockHeader header)
    {
        var block = $"RAMBlock \"{header.Name}\"";
        if (header.UsedLength == 0 || header.UsedLength % Page.Size != 0)
        {
            report(header.UsedLengthField, ImageRule.UsedLength,
                $"the used length of {block} is {header.UsedLength}, not a positive multiple of {Page.Size}");
        }

        if (header.Version != StreamFormat.MappedRamHeaderVersion)
        {
            report(header.VersionField, ImageRule.HeaderVersion, $"the mapped-ram header of {block} has version {header.Version}, not 1");
        }

        if (header.PageSize != Page.Size)
        {
            report(header.PageSizeField, ImageRule.PageSize,
                $"the page size of {block} is {header.PageSize}, not {Page.Size}: QEMU would crash or load a part of it");
        }

        if (header.PagesOffset % Page.Size != 0)
        {
            report(header.PagesOffsetField, ImageRule.PagesAlignment,
                $"the pages of {block} begin at 0x{header.PagesOffset:x}, not at a multiple of {Page.Size}");
        }
    }

    /// <summary>Enters the block with its regions, and goes to the end of its pages, where the list goes on.</summary>
    private void Place(BlockHeader header)
    {
        var block = $"RAMBlock \"{header.Name}\"";
        if (!IsInside(header.PagesOffset, header.UsedLength))
        {
            throw new ImageFormatException(
                header.PagesOffsetField, ImageRule.RegionOutsideFile,
                $"the pages of {block} (0x{header.UsedLength:x} bytes at 0x{header.PagesOffset:x}) reach behind the end of the file at"
                + $" 0x{cursor.Length:x}: it is cut off, or the offset or the used length is wrong");
        }

        if (header.UsedLength >> Page.Shift > (ulong)PageBitmap.MaxPageCount)
        {
            throw new ImageFormatException(
                header.UsedLengthField, ImageRule.UsedLength, $"the used length {header.UsedLength} of {block} is beyond every guest's");
        }

        var usedLength = FindTrueLength(header.PagesOffset, header.UsedLength);
        if (usedLength != header.UsedLength)
        {
            report(header.UsedLengthField, ImageRule.UsedLength,
                $"the used length of {block} is {header.UsedLength}, but the list goes on behind {usedLength} bytes of pages");
        }

        // Pages are counted as the loader does it, rounding down; a length that isn't whole pages has been reported.
        var layout = new RamBlockLayout(
            header.Name, (long)usedLength, header.Start, (long)Math.Min(header.BitmapOffset, long.MaxValue), (long)header.PagesOffset);
        if (!IsInside(header.BitmapOffset, (ulong)layout.BitmapLength))
        {
            report(header.BitmapOffsetField, ImageRule.RegionOutsideFile,
                $"the bitmap of {block} (0x{layout.BitmapLength:x} bytes at 0x{header.BitmapOffset:x}) reaches behind the end of the file at"
                + $" 0x{cursor.Length:x}");
        }
        else
        {
            regions.Add(layout.BitmapOffset, layout.BitmapLength, $"the bitmap of {block}");
            var shift = layout.BitmapOffset - header.End;
            if (shift > 0 && shift < layout.BitmapLength)
            {
                report(header.BitmapOffsetField, ImageRule.BitmapOffset,
                    $"the bitmap of {block} begins at 0x{layout.BitmapOffset:x}, {shift} bytes behind the end of the block header");
            }
        }

        regions.Add(layout.PagesOffset, layout.UsedLength, $"the pages of {block}");
        _blocks.Add((layout, null));
        _usedLengthFields.Add(header.UsedLengthField);
        _sum += usedLength;
        cursor.Position = layout.PagesEnd;
    }

    /// <summary>
    /// The length of a block's pages. Where the used length leads astray by at most 1 MiB, the next block header or the EOS is
    /// searched nearby; the one behind which the rest of the list adds up to the total tells the length.
    /// </summary>
    private ulong FindTrueLength(ulong pagesOffset, ulong usedLength)
    {
        var end = (long)(pagesOffset + usedLength);
        if (_sum + usedLength == _total || IsEos(end) || LooksLikeBlock(end, strong: false))
        {
            return usedLength;
        }

        var length = usedLength - Math.Min(usedLength, SearchDistance);
        for (length -= length % Page.Size; length <= usedLength + SearchDistance && IsInside(pagesOffset, length); length += Page.Size)
        {
            if (length > 0 && LeadsToTotal((long)(pagesOffset + length), _sum + length))
            {
                return length;
            }
        }

        return usedLength;
    }

    /// <summary>Whether a list of undamaged headers begins at <paramref name="at"/> and completes the total.</summary>
    private bool LeadsToTotal(long at, ulong sum)
    {
        while (sum < _total && _lookAheads-- > 0 && LooksLikeBlock(at, strong: true))
        {
            var fields = cursor.Peek(at, 1 + StreamFormat.MaxNameLength + sizeof(ulong) + StreamFormat.MappedRamHeaderLength);
            fields = fields[(1 + fields[0])..];
            var usedLength = BinaryPrimitives.ReadUInt64BigEndian(fields);
            var pagesOffset = BinaryPrimitives.ReadUInt64BigEndian(
                fields[(sizeof(ulong) + StreamFormat.MappedRamHeaderLength - sizeof(ulong))..]);
            if (usedLength == 0 || !IsInside(pagesOffset, usedLength))
            {
                return false;
            }

            at = (long)(pagesOffset + usedLength);
            sum += usedLength;
        }

        return sum == _total && IsEos(at);
    }

    private bool IsEos(long at) => cursor.Peek(at, sizeof(ulong)).SequenceEqual(SectionBoundary.EosWord);

    private bool IsInside(ulong offset, ulong length) =>
        offset <= (ulong)cursor.Length && length <= (ulong)cursor.Length - offset;

    private void CheckOverlaps()
    {
        foreach (var (outer, inner) in regions.Overlaps())
        {
            report(inner.Start, ImageRule.RegionOverlap,
                $"{inner.What} (0x{inner.Start:x} to 0x{inner.End:x}) overlaps {outer.What} (0x{outer.Start:x} to 0x{outer.End:x})");
        }
    }

    /// <summary>
    /// Reads the shadow bitmaps. While the blocks' lengths together fit the file, the bitmaps take at most 1/32768 of its
    /// length; where they don't, blocks overlap, which has been reported.
    /// </summary>
    private void ReadBitmaps()
    {
        var lengths = 0UL;
        for (var i = 0; i < _blocks.Count; i++)
        {
            var layout = _blocks[i].Layout;
            lengths += (ulong)layout.UsedLength;
            if (lengths > (ulong)cursor.Length)
            {
                return;
            }

            if (IsInside((ulong)layout.BitmapOffset, (ulong)layout.BitmapLength))
            {
                _blocks[i] = (layout, ReadBitmap(layout));
            }
        }
    }

    private PageBitmap ReadBitmap(RamBlockLayout layout)
    {
        var bitmap = new PageBitmap(layout.PageCount);
        var words = bitmap.Words;
        for (var first = 0; first < words.Length; first += BitmapChunkWords)
        {
            var chunk = words.Slice(first, Math.Min(BitmapChunkWords, words.Length - first));
            input.ReadExactly(layout.BitmapOffset + ((long)first * sizeof(ulong)), MemoryMarshal.AsBytes(chunk));
            PageBitmap.ToHostOrder(chunk);
        }

        if (bitmap.ClearPadding())
        {
            report(layout.BitmapOffset + layout.BitmapLength - sizeof(ulong), ImageRule.BitmapPadding,
                $"the last word of the bitmap of RAMBlock \"{layout.Name}\" has bits beyond its {layout.PageCount} pages");
        }

        return bitmap;
    }

    /// <summary>A block header as it stands in the file, and where its fields stand.</summary>
    private readonly record struct BlockHeader(
        long Start, string Name, ulong UsedLength, uint Version, ulong PageSize, ulong BitmapOffset, ulong PagesOffset, long End)
    {
        public long PagesOffsetField => End - sizeof(ulong);

        public long BitmapOffsetField => PagesOffsetField - sizeof(ulong);

        public long PageSizeField => BitmapOffsetField - sizeof(ulong);

        public long VersionField => PageSizeField - sizeof(uint);

        public long UsedLengthField => VersionField - sizeof(ulong);
    }
}

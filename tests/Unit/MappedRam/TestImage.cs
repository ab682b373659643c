using System.Buffers.Binary;
using System.Text;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Tests.Unit.MappedRam;

/// <summary>A small valid image, composed as a migration composes it, and the places of its fields.</summary>
internal sealed class TestImage
{
    public const string Machine = "pc-q35-10.0";

    /// <summary>70 pages leave padding in the bitmap's second word.</summary>
    public static readonly RamBlockSpec Ram = new("pc.ram", 70 * Page.Size);

    public static readonly RamBlockSpec Bios = new("pc.bios", 5 * Page.Size);

    public static readonly RamBlockSpec Rsdp = new("/rom@etc/acpi/rsdp", Page.Size);

    public static readonly byte[] Devices =
    [
        .. Section(0, "timer", 0, 2, new byte[24]),
        // A payload that holds its own footer, and a whole section header, must not end early.
        .. Section(3, "cpu", 1, 12, [1, 2, 0x7e, 0, 0, 0, 3, 9, 9, 9, .. "\u0004\0\0\0\u0004\u0003abc"u8, 0, 0, 0, 0, 0, 0, 0, 1, 5]),
        .. Section(4, "globalstate", 0, 1, [7, .. "paused\0"u8]),
    ];

    public const string Description =
        """{"configuration": {"vmsd_name": "configuration"}, "page_size": 4096, "devices": [{"name": "timer", "instance_id": 0, "vmsd_name": "timer", "version": 2, "fields": [{"name": "x", "size": 8}]}, {"name": "cpu", "instance_id": 1, "version": 12}, {"name": "globalstate", "instance_id": 0, "version": 1}]}""";

    private TestImage(ImageLayout layout, byte[] bytes)
    {
        Layout = layout;
        Bytes = bytes;
    }

    public ImageLayout Layout { get; }

    /// <summary>What every present page is full of.</summary>
    public const byte Filling = 0xa5;

    public byte[] Bytes { get; private set; }

    public int Tail => (int)Layout.TailOffset;

    // Places in the preamble of 0x60 bytes; a machine name of eleven bytes makes it that of the annotated dump.
    public static int MachineNameLength => 0x09;

    public static int Subsection => 0x18;

    public static int CapabilityCount => 0x38;

    public static int RamStart => 0x47;

    public static int RamTotal => 0x58;

    // Places in the tail.
    public int EosFooter => Tail + 8;

    public int Part => Tail + 13;

    public int Switchover => Part + 18;

    public int End => Switchover + 5;

    public int FirstDevice => End + 18;

    public int Eof => FirstDevice + Devices.Length;

    public int DescriptionLength => Eof + 2;

    /// <summary>The image with the given present pages, or with a few of each RAMBlock.</summary>
    public static TestImage Compose(
        IReadOnlyDictionary<string, PageBitmap>? shadows = null, DeviceSections? devices = null, string machine = Machine, uint ramId = 1)
    {
        var layout = ImageLayout.Create(machine, [Ram, Bios, Rsdp], ramId);
        return Compose(layout, shadows, devices ?? new DeviceSections(Devices, Encoding.UTF8.GetBytes(Description)));
    }

    public static TestImage Compose(ImageLayout layout, IReadOnlyDictionary<string, PageBitmap>? shadows, DeviceSections devices)
    {
        var tail = layout.Tail(devices);
        var bytes = new byte[layout.TailOffset + tail.Length];
        foreach (var piece in layout.Headers())
        {
            piece.Bytes.Span.CopyTo(bytes.AsSpan((int)piece.Offset));
        }

        foreach (var block in layout.Blocks)
        {
            var shadow = shadows?[block.Name] ?? SomePages(block.PageCount);
            shadow.CopyTo(bytes.AsSpan((int)block.BitmapOffset));
            for (var page = 0; page < block.PageCount; page++)
            {
                if (shadow[page])
                {
                    bytes.AsSpan((int)block.PagesOffset + (page * Page.Size), Page.Size).Fill(Filling);
                }
            }
        }

        tail.CopyTo(bytes, layout.TailOffset);
        return new TestImage(layout, bytes);
    }

    public static byte[] Section(uint id, string name, uint instance, uint version, byte[] payload)
    {
        var section = new List<byte> { StreamFormat.SectionFull };
        section.AddRange(BigEndian(id));
        section.Add((byte)name.Length);
        section.AddRange(Encoding.UTF8.GetBytes(name));
        section.AddRange(BigEndian(instance));
        section.AddRange(BigEndian(version));
        section.AddRange(payload);
        section.Add(StreamFormat.SectionFooter);
        section.AddRange(BigEndian(id));
        return [.. section];
    }

    public static byte[] BigEndian(uint value)
    {
        var bytes = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    // Places in a block header.
    public int UsedLengthOf(RamBlockSpec block) => (int)Layout[block.Name].HeaderOffset + 1 + block.Name.Length;

    public int VersionOf(RamBlockSpec block) => UsedLengthOf(block) + 8;

    public int PageSizeOf(RamBlockSpec block) => VersionOf(block) + 4;

    public int BitmapOffsetOf(RamBlockSpec block) => PageSizeOf(block) + 8;

    public int PagesOffsetOf(RamBlockSpec block) => BitmapOffsetOf(block) + 8;

    public TestImage Put(int offset, params byte[] bytes)
    {
        bytes.CopyTo(Bytes, offset);
        return this;
    }

    public TestImage Put32(int offset, uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(Bytes.AsSpan(offset), value);
        return this;
    }

    public TestImage Put64(int offset, long value)
    {
        BinaryPrimitives.WriteInt64BigEndian(Bytes.AsSpan(offset), value);
        return this;
    }

    public TestImage Insert(int offset, params byte[] bytes)
    {
        Bytes = [.. Bytes[..offset], .. bytes, .. Bytes[offset..]];
        return this;
    }

    public TestImage Remove(int offset, int count)
    {
        Bytes = [.. Bytes[..offset], .. Bytes[(offset + count)..]];
        return this;
    }

    public TestImage CutAt(int length)
    {
        Bytes = Bytes[..length];
        return this;
    }

    public IReadOnlyList<ImageViolation> Verify() => ImageVerifier.Verify(new MemoryImageInput(Bytes));

    public MappedRamImage Read() => MappedRamImage.Read(new MemoryImageInput(Bytes));

    public JournalIdentity Identity() => JournalScript.NewIdentity([.. Layout.Blocks.Select(block => new JournalBlock(block.Name, block.PageCount))])
        with
    { LayoutDigest = LayoutDigest.Compute(Layout) };

    /// <summary>The checksums of an image with the present pages of its own, changed entry by entry.</summary>
    public byte[] Checksums(Func<int, long, UInt128, UInt128>? change = null, JournalIdentity? identity = null)
    {
        var script = new JournalScript(identity ?? Identity());
        for (var block = 0; block < Layout.Blocks.Count; block++)
        {
            var layout = Layout.Blocks[block];
            var entries = new UInt128[layout.PageCount];
            for (var page = 0L; page < entries.Length; page++)
            {
                var content = Bytes.AsSpan((int)(layout.PagesOffset + (page * Page.Size)), Page.Size);
                var entry = IsPresent(page) ? JournalEntry.OfContent(content) : JournalEntry.Zero;
                entries[page] = change?.Invoke(block, page, entry) ?? entry;
            }

            script.Durable(block, new PageRun(0, entries.Length), entries);
        }

        return script.Complete(Bytes.Length).Seal().Bytes;
    }

    /// <summary>Whether a page of an image with the present pages of its own is one of them.</summary>
    public static bool IsPresent(long page) => page % 3 == 0;

    private static PageBitmap SomePages(long pageCount)
    {
        var pages = new PageBitmap(pageCount);
        for (var page = 0L; page < pageCount; page++)
        {
            if (IsPresent(page))
            {
                pages.Set(page);
            }
        }

        return pages;
    }
}

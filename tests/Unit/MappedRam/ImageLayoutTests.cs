using CsCheck;
using DistMigrate.MappedRam;

namespace DistMigrate.Tests.Unit.MappedRam;

public sealed class ImageLayoutTests
{
    private const long MiB = 1 << 20;

    /// <summary>The RAMBlocks of <c>qemu-system-x86_64 -nodefaults -machine q35 -m 64M</c>, QEMU 10.0.2.</summary>
    private static readonly RamBlockSpec[] Q35 =
    [
        new("pc.ram", 64 * MiB),
        new("/rom@etc/acpi/tables", 0x20000),
        new("pc.bios", 0x40000),
        new("pc.rom", 0x20000),
        new("/rom@etc/table-loader", 0x1000),
        new("/rom@etc/acpi/rsdp", 0x1000),
    ];

    private static readonly Gen<RamBlockSpec[]> GenBlocks =
        Gen.Int[1, 5000].Select(Gen.Int[1, 255]).Array[1, 12]
            .Select(blocks => blocks.Select((block, i) => new RamBlockSpec($"{(char)('a' + i)}".PadRight(block.Item2, 'x'), block.Item1 * (long)Page.Size)).ToArray());

    [Fact]
    public void Offsets_are_those_of_a_file_that_QEMU_wrote()
    {
        var layout = ImageLayout.Create("pc-q35-10.0", Q35);

        Assert.Equal(
            [
                new RamBlockLayout("pc.ram", 0x4000000, 0x60, 0x8b, 0x100000),
                new RamBlockLayout("/rom@etc/acpi/tables", 0x20000, 0x4100000, 0x4100039, 0x4200000),
                new RamBlockLayout("pc.bios", 0x40000, 0x4220000, 0x422002c, 0x4300000),
                new RamBlockLayout("pc.rom", 0x20000, 0x4340000, 0x434002b, 0x4400000),
                new RamBlockLayout("/rom@etc/table-loader", 0x1000, 0x4420000, 0x442003a, 0x4500000),
                new RamBlockLayout("/rom@etc/acpi/rsdp", 0x1000, 0x4501000, 0x4501037, 0x4600000),
            ],
            layout.Blocks);
        Assert.Equal(2048, layout["pc.ram"].BitmapLength);
        Assert.Equal(0x4601000, layout.TailOffset);
        Assert.Equal(0x4082000, layout.TotalRam);
    }

    [Fact]
    public void Headers_are_the_bytes_that_QEMU_wrote()
    {
        var headers = ImageLayout.Create("pc-q35-10.0", Q35).Headers();

        Assert.Equal([0, 0x4100000, 0x4220000, 0x4340000, 0x4420000, 0x4501000], headers.Select(piece => piece.Offset));
        AssertHex(
            "5145564d00000003" + "07" + "0000000b" + Hex("pc-q35-10.0")
            + "051a" + Hex("configuration/capabilities") + "00000001" + "00000001" + "0a" + Hex("mapped-ram")
            + "01" + "00000001" + "03" + Hex("ram") + "00000000" + "00000004" + "0000000004082004"
            + "06" + Hex("pc.ram") + "0000000004000000" + "00000001" + "0000000000001000" + "000000000000008b" + "0000000000100000",
            headers[0].Bytes);
        AssertHex(
            "14" + Hex("/rom@etc/acpi/tables") + "0000000000020000" + "00000001" + "0000000000001000" + "0000000004100039" + "0000000004200000",
            headers[1].Bytes);
        AssertHex(
            "07" + Hex("pc.bios") + "0000000000040000" + "00000001" + "0000000000001000" + "000000000422002c" + "0000000004300000",
            headers[2].Bytes);
    }

    [Fact]
    public void The_tail_is_the_bytes_that_QEMU_wrote()
    {
        var device = TestImage.Section(0, "timer", 0, 2, new byte[24]);
        var tail = ImageLayout.Create("pc-q35-10.0", Q35).Tail(new DeviceSections(device, "{\"page_size\": 4096}"u8.ToArray()));

        AssertHex(
            "0000000000000010" + "7e00000001"
            + "0200000001" + "0000000000000010" + "7e00000001"
            + "08000b0000"
            + "0300000001" + "0000000000000010" + "7e00000001"
            + Convert.ToHexString(device)
            + "00" + "06" + "00000013" + Hex("{\"page_size\": 4096}"),
            tail);
    }

    [Fact]
    public void An_empty_vmdescription_is_written_as_an_empty_object()
    {
        var tail = ImageLayout.Create("pc-q35-10.0", Q35).Tail(new DeviceSections(default, default));
        Assert.Equal("0006000000027B7D", Convert.ToHexString(tail[^8..]));
    }

    [Theory]
    [InlineData("pc-q35-10.0", true)]
    [InlineData("pc-q35-10.0.1", true)]
    [InlineData("pc-i440fx-11.2", true)]
    [InlineData("microvm", true)]
    [InlineData("isapc", true)]
    [InlineData("pc-q35-9.2", false)]
    [InlineData("pc-i440fx-9.0", false)]
    [InlineData("pc-q35-4.0.1", false)]
    [InlineData("virt-2.12", false)]
    public void Only_machine_types_since_10_0_announce_the_switchover(string machine, bool announces)
    {
        var tail = ImageLayout.Create(machine, Q35).Tail(new DeviceSections(default, default));
        Assert.Equal(announces, Convert.ToHexString(tail).Contains("08000B0000", StringComparison.Ordinal));
    }

    [Fact]
    public void The_ram_section_takes_the_id_it_is_given()
    {
        var layout = ImageLayout.Create("pc-q35-10.0", Q35, ramSectionId: 2);
        AssertHex("0100000002", layout.Headers()[0].Bytes[0x47..0x4c]);
        AssertHex("0000000000000010" + "7e00000002" + "0200000002", layout.Tail(new DeviceSections(default, default)).AsMemory(0, 18));
    }

    [Fact]
    public void Nothing_overlaps_and_everything_stands_where_the_loader_looks_for_it() =>
        GenBlocks.Sample(blocks =>
        {
            var layout = ImageLayout.Create("m", blocks);
            var headers = layout.Headers();
            var at = 0L;
            for (var i = 0; i < blocks.Length; i++)
            {
                var block = layout.Blocks[i];
                Assert.Equal(blocks[i].UsedLength, block.UsedLength);
                Assert.Equal(i == 0 ? 0 : at, headers[i].Offset);
                Assert.Equal(block.BitmapOffset, headers[i].Offset + headers[i].Bytes.Length);
                Assert.Equal(i == 0 ? block.HeaderOffset : at, block.HeaderOffset);
                Assert.Equal(block.HeaderOffset + 1 + block.Name.Length + 8 + 28, block.BitmapOffset);
                Assert.Equal(0, block.PagesOffset % MiB);
                Assert.InRange(block.PagesOffset - (block.BitmapOffset + block.BitmapLength), 0, MiB - 1);
                at = block.PagesOffset + block.UsedLength;
                Assert.Equal(at, block.PagesEnd);
                Assert.Same(block, layout[block.Name]);
            }

            Assert.Equal(at, layout.TailOffset);
            Assert.Equal(blocks.Sum(block => block.UsedLength), layout.TotalRam);
        });

    [Theory]
    [InlineData("")]
    [InlineData("pc\0ram")]
    [InlineData("pc\nram")]
    public void A_name_that_is_not_text_is_refused(string name)
    {
        Assert.Throws<ArgumentException>(() => ImageLayout.Create(name, Q35));
        Assert.Throws<ArgumentException>(() => ImageLayout.Create("m", [new RamBlockSpec(name, 4096)]));
    }

    [Fact]
    public void A_name_with_half_a_character_is_refused() => A_name_that_is_not_text_is_refused("pc" + (char)0xd800);

    [Fact]
    public void A_name_may_have_255_bytes_of_UTF8()
    {
        var longest = new string('ü', 127) + "x";
        Assert.Equal(longest, ImageLayout.Create(longest, [new RamBlockSpec(longest, 4096)]).Blocks[0].Name);
        Assert.Throws<ArgumentException>(() => ImageLayout.Create("m", [new RamBlockSpec(longest + "x", 4096)]));
        Assert.Throws<ArgumentException>(() => ImageLayout.Create(longest + "x", Q35));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-4096)]
    [InlineData(4095)]
    [InlineData(long.MaxValue / 4096 * 4096)]
    public void A_used_length_that_no_RAMBlock_has_is_refused(long usedLength) =>
        Assert.Throws<ArgumentException>(() => ImageLayout.Create("m", [new RamBlockSpec("pc.ram", usedLength)]));

    [Fact]
    public void Lengths_whose_sum_overflows_are_refused()
    {
        var huge = PageBitmap.MaxPageCount * Page.Size;
        var blocks = Enumerable.Range(0, (int)(long.MaxValue / huge) + 1).Select(i => new RamBlockSpec($"m{i}", huge)).ToArray();
        Assert.Throws<OverflowException>(() => ImageLayout.Create("m", blocks));
    }

    [Fact]
    public void Two_RAMBlocks_of_one_name_none_at_all_and_the_section_id_0_are_refused()
    {
        Assert.Throws<ArgumentException>(() => ImageLayout.Create("m", [Q35[0], Q35[0]]));
        Assert.Throws<ArgumentException>(() => ImageLayout.Create("m", []));
        Assert.Throws<ArgumentOutOfRangeException>(() => ImageLayout.Create("m", Q35, ramSectionId: 0));
    }

    [Fact]
    public void A_RAMBlock_that_the_image_has_not_is_named_in_the_error()
    {
        var error = Assert.Throws<KeyNotFoundException>(() => ImageLayout.Create("m", Q35)["vga.vram"]);
        Assert.Contains("vga.vram", error.Message, StringComparison.Ordinal);
    }

    private static string Hex(string text) => Convert.ToHexString(System.Text.Encoding.ASCII.GetBytes(text));

    private static void AssertHex(string expected, ReadOnlyMemory<byte> actual) =>
        Assert.Equal(expected, Convert.ToHexString(actual.Span), ignoreCase: true);
}

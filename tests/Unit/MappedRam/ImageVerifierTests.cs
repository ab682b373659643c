using System.Text;
using DistMigrate.MappedRam;

namespace DistMigrate.Tests.Unit.MappedRam;

/// <summary>Each test breaks one thing of a valid image and expects the rule, and the place, that names it.</summary>
public sealed class ImageVerifierTests
{
    private readonly TestImage _image = TestImage.Compose();

    [Fact]
    public void A_valid_image_has_no_violation() => Assert.Empty(_image.Verify());

    [Fact]
    public void Magic() => ExpectOnly(_image.Put(0, (byte)'q'), ImageRule.Magic, 0);

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(4)]
    public void Stream_version(uint version) => ExpectOnly(_image.Put32(4, version), ImageRule.StreamVersion, 4);

    [Fact]
    public void Something_else_than_a_migration_stream()
    {
        var violation = Assert.Single(ImageVerifier.Verify(new MemoryImageInput(Encoding.ASCII.GetBytes(new string('x', 100_000)))));
        Assert.Equal((0, ImageRule.Magic), (violation.Offset, violation.Rule));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void A_file_shorter_than_magic_and_version(int length) =>
        Expect(_image.CutAt(length), ImageRule.Truncated, length < 4 ? 0 : 4);

    [Fact]
    public void No_configuration()
    {
        var moved = _image.Remove(8, TestImage.RamStart - 8).Insert(0x8b - (TestImage.RamStart - 8), new byte[TestImage.RamStart - 8]);
        Expect(moved, ImageRule.Configuration, 8);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(256u)]
    [InlineData(uint.MaxValue)]
    public void Length_of_the_machine_name(uint length) =>
        Expect(_image.Put32(TestImage.MachineNameLength, length), ImageRule.MachineName, TestImage.MachineNameLength);

    [Fact]
    public void Machine_name_that_is_not_text() =>
        ExpectOnly(_image.Put(TestImage.MachineNameLength + 6, 0), ImageRule.MachineName, TestImage.MachineNameLength);

    [Fact]
    public void Unknown_subsection() => Expect(_image.Put(TestImage.Subsection + 2, (byte)'k'), ImageRule.Subsection, TestImage.Subsection);

    [Fact]
    public void Version_of_a_subsection() =>
        ExpectOnly(_image.Put32(TestImage.CapabilityCount - 4, 2), ImageRule.Subsection, TestImage.Subsection);

    [Fact]
    public void Capability_list_without_mapped_ram() => Expect(_image.Put32(TestImage.CapabilityCount, 0), ImageRule.Capabilities, 8);

    [Fact]
    public void Unknown_capability()
    {
        _image.Put(TestImage.CapabilityCount + 5, (byte)'n');
        Expect(_image, ImageRule.Capabilities, 8);
        Expect(_image, ImageRule.Capabilities, TestImage.CapabilityCount + 4);
    }

    [Fact]
    public void Capability_x_ignore_shared()
    {
        byte[] name = [15, .. "x-ignore-shared"u8];
        _image.Put32(TestImage.CapabilityCount, 2).Insert(TestImage.CapabilityCount + 4, name);
        Expect(_image, ImageRule.Capabilities, TestImage.CapabilityCount + 4);
    }

    [Fact]
    public void More_capabilities_than_there_are() =>
        Expect(_image.Put32(TestImage.CapabilityCount, uint.MaxValue), ImageRule.Capabilities, TestImage.CapabilityCount);

    [Theory]
    [InlineData(0x05)]
    [InlineData(0x06)]
    [InlineData(0x07)]
    [InlineData(0x7e)]
    [InlineData(0xff)]
    public void Unknown_section_type(byte type) => ExpectOnly(_image.Put(_image.FirstDevice, type), ImageRule.SectionType, _image.FirstDevice, ImageRule.DeviceList);

    [Theory]
    [InlineData(0x00)]
    [InlineData(0x03)]
    [InlineData(0x04)]
    [InlineData(0x81)]
    public void Type_of_the_ram_section(byte type) =>
        ExpectOnly(_image.Put(TestImage.RamStart, type), ImageRule.SectionType, TestImage.RamStart);

    [Fact]
    public void Name_of_a_section_that_is_not_text() =>
        Expect(_image.Put(_image.FirstDevice + 7, 0), ImageRule.SectionName, _image.FirstDevice + 5);

    [Fact]
    public void Section_id_0_of_a_ram_section_that_goes_on()
    {
        foreach (var at in new[] { TestImage.RamStart + 1, _image.EosFooter + 1, _image.Part + 1, _image.Part + 14, _image.End + 1, _image.End + 14 })
        {
            _image.Put32(at, 0);
        }

        ExpectOnly(_image, ImageRule.SectionId, TestImage.RamStart + 1);
    }

    [Fact]
    public void Part_of_a_section_that_has_not_started() => ExpectOnly(_image.Put32(_image.Part + 1, 9), ImageRule.SectionId, _image.Part + 1);

    [Fact]
    public void Device_before_the_RAM()
    {
        byte[] device = TestImage.Section(5, "kvm-tpr-opt", 0, 1, new byte[10]);
        _image.Insert(TestImage.RamStart, device).Remove((int)_image.Layout["pc.ram"].PagesOffset, device.Length);
        _image.Put64(_image.BitmapOffsetOf(TestImage.Ram) + device.Length, _image.Layout["pc.ram"].BitmapOffset + device.Length);
        ExpectOnly(_image, ImageRule.SectionOrder, TestImage.RamStart, ImageRule.DeviceList);
    }

    [Fact]
    public void Second_ram_section() =>
        Expect(
            _image.Insert(_image.FirstDevice, _image.Bytes[TestImage.RamStart..0x8b]),
            ImageRule.SectionOrder,
            _image.FirstDevice + TestImage.RamTotal - TestImage.RamStart);

    [Fact]
    public void Ram_section_without_an_end() =>
        ExpectOnly(_image.Remove(_image.End, 18), ImageRule.SectionOrder, _image.Tail);

    [Fact]
    public void Ram_section_that_goes_on_behind_its_end() =>
        ExpectOnly(_image.Put(_image.Part, StreamFormat.SectionEnd), ImageRule.SectionOrder, _image.End);

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    public void Footer_of_the_RAM(int place) => ExpectOnly(_image.Put(_image.EosFooter + place, 9), ImageRule.Footer, _image.EosFooter);

    [Theory]
    [InlineData(0)]
    [InlineData(4)]
    public void Footer_of_a_device(int place)
    {
        var footer = _image.FirstDevice + 19 + 24;
        ExpectOnly(_image.Put(footer + place, 9), ImageRule.Footer, footer);
    }

    [Fact]
    public void Footer_of_the_last_device() => ExpectOnly(_image.Put(_image.Eof - 5, 9), ImageRule.Footer, _image.Eof - 5);

    [Fact]
    public void Missing_footer_of_the_RAM() => ExpectOnly(_image.Remove(_image.EosFooter, 5), ImageRule.Footer, _image.EosFooter);

    [Fact]
    public void Missing_footer_of_a_device() =>
        ExpectOnly(_image.Remove(_image.FirstDevice + 19 + 24, 5), ImageRule.Footer, _image.FirstDevice + 19 + 24 - 5);

    [Fact]
    public void Section_id_of_a_device_that_its_footer_does_not_repeat() =>
        Expect(_image.Put32(_image.FirstDevice + 1, 77), ImageRule.Footer, _image.FirstDevice + 19 + 24);

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(12)]
    public void Command_that_no_file_has(byte command) => ExpectOnly(_image.Put(_image.Switchover + 2, command), ImageRule.Command, _image.Switchover);

    [Fact]
    public void Command_with_data_of_another_length() =>
        ExpectOnly(_image.Put(_image.Switchover + 4, 3), ImageRule.Command, _image.Switchover);

    [Fact]
    public void Command_on_the_wrong_side_of_the_RAM() =>
        ExpectOnly(_image.Put(_image.Switchover + 2, 1), ImageRule.Command, _image.Switchover);

    [Fact]
    public void No_ram_section()
    {
        byte[] stream = [.. _image.Bytes[..TestImage.RamStart], StreamFormat.Eof];
        var violation = Assert.Single(ImageVerifier.Verify(new MemoryImageInput(stream)));
        Assert.Equal((TestImage.RamStart, ImageRule.RamMissing), (violation.Offset, violation.Rule));
    }

    [Theory]
    [InlineData(9, 1u)]
    [InlineData(13, 3u)]
    [InlineData(13, 5u)]
    public void Instance_and_version_of_the_ram_section(int place, uint value) =>
        ExpectOnly(_image.Put32(TestImage.RamStart + place, value), ImageRule.RamVersion, TestImage.RamStart + 9);

    [Theory]
    [InlineData(0x00)]
    [InlineData(0x08)]
    [InlineData(0x14)]
    [InlineData(0x24)]
    public void Flags_of_the_block_list(byte flags) =>
        ExpectOnly(_image.Put(TestImage.RamTotal + 7, flags), ImageRule.RamFlags, TestImage.RamTotal);

    [Theory]
    [InlineData(-4096)]
    [InlineData(4096)]
    [InlineData(-5 * 4096)]
    [InlineData(1L << 40)]
    public void Total_that_is_not_the_sum_of_the_used_lengths(long difference) =>
        ExpectOnly(
            _image.Put64(TestImage.RamTotal, (_image.Layout.TotalRam + difference) | 4), ImageRule.RamTotal, TestImage.RamTotal);

    [Fact]
    public void Total_that_is_the_sum_of_the_first_blocks() =>
        ExpectOnly(_image.Put64(TestImage.RamTotal, TestImage.Ram.UsedLength | 4), ImageRule.RamTotal, TestImage.RamTotal);

    [Theory]
    [InlineData(0x11)]
    [InlineData(0x00)]
    [InlineData(0x08)]
    public void EOS_of_the_block_list(byte word) => ExpectOnly(_image.Put(_image.Tail + 7, word), ImageRule.Eos, _image.Tail);

    [Fact]
    public void EOS_of_a_part() => ExpectOnly(_image.Put(_image.Part + 5 + 6, 2), ImageRule.Eos, _image.Part + 5);

    [Fact]
    public void Tail_that_is_still_a_hole() =>
        ExpectOnly(_image.Put(_image.Tail, new byte[_image.Bytes.Length - _image.Tail]), ImageRule.Eos, _image.Tail);

    [Fact]
    public void Block_header_that_is_damaged()
    {
        var header = (int)_image.Layout["pc.bios"].HeaderOffset;
        ExpectOnly(_image.Put(header, 50), ImageRule.BlockHeader, header);
    }

    [Fact]
    public void Name_of_a_block_that_is_not_text()
    {
        var header = (int)_image.Layout["pc.bios"].HeaderOffset;
        ExpectOnly(_image.Put(header + 2, 0xff), ImageRule.BlockName, header);
    }

    [Fact]
    public void Two_blocks_of_one_name()
    {
        var layout = ImageLayout.Create("m", [new RamBlockSpec("a", 4096), new RamBlockSpec("b", 4096)]);
        var image = TestImage.Compose(layout, null, new DeviceSections(TestImage.Devices, default));
        ExpectOnly(image.Put((int)layout["b"].HeaderOffset + 1, (byte)'a'), ImageRule.DuplicateBlock, layout["b"].HeaderOffset);
    }

    [Fact]
    public void No_block()
    {
        byte[] stream = [.. _image.Bytes[..TestImage.RamTotal], 0, 0, 0, 0, 0, 0, 0, 4, .. _image.Bytes[_image.Tail..]];
        var violations = ImageVerifier.Verify(new MemoryImageInput(stream));
        Assert.Equal((0x60, ImageRule.BlockCount), violations.Select(v => ((int)v.Offset, v.Rule)).Single());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(70 * 4096 + 1)]
    [InlineData(69 * 4096)]
    [InlineData(71 * 4096)]
    [InlineData(35 * 4096)]
    public void Used_length(long usedLength) =>
        Expect(_image.Put64(_image.UsedLengthOf(TestImage.Ram), usedLength), ImageRule.UsedLength, _image.UsedLengthOf(TestImage.Ram));

    [Theory]
    [InlineData(0u)]
    [InlineData(2u)]
    public void Version_of_a_block_header(uint version) =>
        ExpectOnly(_image.Put32(_image.VersionOf(TestImage.Bios), version), ImageRule.HeaderVersion, _image.VersionOf(TestImage.Bios));

    [Theory]
    [InlineData(0)]
    [InlineData(8192)]
    [InlineData(-1)]
    public void Page_size(long pageSize) =>
        ExpectOnly(_image.Put64(_image.PageSizeOf(TestImage.Ram), pageSize), ImageRule.PageSize, _image.PageSizeOf(TestImage.Ram));

    [Fact]
    public void Pages_that_are_not_aligned() =>
        Expect(
            _image.Put64(_image.PagesOffsetOf(TestImage.Rsdp), _image.Layout[TestImage.Rsdp.Name].PagesOffset + 512),
            ImageRule.PagesAlignment,
            _image.PagesOffsetOf(TestImage.Rsdp));

    [Theory]
    [InlineData(1L << 40)]
    [InlineData(-4096)]
    public void Pages_outside_the_file(long offset) =>
        ExpectOnly(_image.Put64(_image.PagesOffsetOf(TestImage.Rsdp), offset), ImageRule.RegionOutsideFile, _image.PagesOffsetOf(TestImage.Rsdp));

    [Fact]
    public void Used_length_beyond_the_file() =>
        ExpectOnly(
            _image.Put64(_image.UsedLengthOf(TestImage.Ram), long.MaxValue / 4096 * 4096),
            ImageRule.RegionOutsideFile,
            _image.PagesOffsetOf(TestImage.Ram));

    [Theory]
    [InlineData(1L << 40)]
    [InlineData(-1)]
    public void Bitmap_outside_the_file(long offset)
    {
        _image.Put64(_image.BitmapOffsetOf(TestImage.Ram), offset);
        ExpectOnly(_image, ImageRule.RegionOutsideFile, _image.BitmapOffsetOf(TestImage.Ram), ImageRule.UnclaimedBytes);
    }

    [Fact]
    public void Pages_that_are_cut_off()
    {
        var last = _image.Layout[TestImage.Rsdp.Name];
        ExpectOnly(_image.CutAt((int)last.PagesEnd - 1), ImageRule.RegionOutsideFile, _image.PagesOffsetOf(TestImage.Rsdp));
    }

    [Fact]
    public void Bitmap_over_the_pages_of_another_block()
    {
        var pages = _image.Layout["pc.ram"].PagesOffset;
        _image.Put64(_image.BitmapOffsetOf(TestImage.Bios), pages + 4096);
        Expect(_image, ImageRule.RegionOverlap, pages + 4096);
    }

    [Fact]
    public void Bitmap_over_the_block_header() =>
        Expect(_image.Put64(_image.BitmapOffsetOf(TestImage.Ram), 0x60), ImageRule.RegionOverlap, 0x60);

    [Fact]
    public void Pages_of_two_blocks_over_each_other()
    {
        // The second block's pages are moved onto the first one's: the list then goes on at their end.
        var layout = ImageLayout.Create("m", [new RamBlockSpec("a", 4 * 4096), new RamBlockSpec("b", 4096)]);
        var image = TestImage.Compose(layout, null, new DeviceSections(TestImage.Devices, default));
        image.Put64((int)layout["b"].BitmapOffset - 8, layout["a"].PagesOffset);
        Expect(image, ImageRule.RegionOverlap, layout["a"].PagesOffset);
    }

    [Fact]
    public void Bitmap_inside_the_tail()
    {
        _image.Put64(_image.BitmapOffsetOf(TestImage.Rsdp), _image.FirstDevice);
        Expect(_image, ImageRule.RegionOverlap, _image.FirstDevice);
    }

    [Fact]
    public void Bytes_that_belong_to_nothing() => ExpectOnly(_image.Put(0x800, 1), ImageRule.UnclaimedBytes, 0x800);

    [Theory]
    [InlineData(1)]
    [InlineData(8)]
    public void Bitmap_that_is_shifted_by_a_few_bytes(int shift)
    {
        var block = _image.Layout["pc.ram"];
        _image.Put64(_image.BitmapOffsetOf(TestImage.Ram), block.BitmapOffset + shift);
        Expect(_image, ImageRule.BitmapOffset, _image.BitmapOffsetOf(TestImage.Ram));
    }

    [Fact]
    public void Bitmap_that_a_wrong_offset_left_behind()
    {
        var block = _image.Layout["pc.ram"];
        ExpectOnly(_image.Put64(_image.BitmapOffsetOf(TestImage.Ram), 0x4000), ImageRule.UnclaimedBytes, block.BitmapOffset);
    }

    [Theory]
    [InlineData(70)]
    [InlineData(127)]
    public void Bit_beyond_the_last_page(int bit)
    {
        var bitmap = (int)_image.Layout["pc.ram"].BitmapOffset;
        _image.Bytes[bitmap + (bit / 8)] |= (byte)(1 << (bit % 8));
        ExpectOnly(_image, ImageRule.BitmapPadding, bitmap + 8);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(13)]
    [InlineData(16)]
    public void Save_that_was_interrupted(int tailLength)
    {
        foreach (var block in _image.Layout.Blocks)
        {
            _image.Put((int)block.BitmapOffset, new byte[block.BitmapLength]);
        }

        ExpectOnly(
            _image.CutAt(_image.Tail + tailLength), ImageRule.InterruptedSave, tailLength == 16 ? _image.Tail + 14 : _image.Tail + tailLength);
    }

    [Fact]
    public void Background_snapshot_that_lost_the_RAM()
    {
        foreach (var block in _image.Layout.Blocks)
        {
            _image.Put((int)block.BitmapOffset, new byte[block.BitmapLength]);
        }

        ExpectOnly(_image.Remove(_image.End, 18), ImageRule.InterruptedSave, _image.Tail);
    }

    [Fact]
    public void File_that_ends_at_the_EOS() => ExpectOnly(_image.CutAt(_image.Tail), ImageRule.Truncated, _image.Tail);

    [Fact]
    public void File_that_ends_in_a_footer() => ExpectOnly(_image.CutAt(_image.EosFooter + 3), ImageRule.Truncated, _image.EosFooter);

    [Fact]
    public void File_that_ends_in_a_device() => ExpectOnly(_image.CutAt(_image.FirstDevice + 30), ImageRule.Footer, _image.FirstDevice + 19);

    [Fact]
    public void File_that_ends_before_the_EOF_byte() => ExpectOnly(_image.CutAt(_image.Eof), ImageRule.EofMissing, _image.Eof);

    [Fact]
    public void EOF_byte_that_is_another() => ExpectOnly(_image.Put(_image.Eof, 1), ImageRule.EofMissing, _image.Eof);

    [Fact]
    public void EOF_byte_that_is_left_out() =>
        Expect(_image.Remove(_image.Eof, 1), ImageRule.EofMissing, _image.Eof - 1);

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(100_000u)]
    [InlineData(uint.MaxValue)]
    public void Length_of_the_vmdescription(uint length) =>
        ExpectOnly(_image.Put32(_image.DescriptionLength, length), ImageRule.VmDescriptionLength, _image.DescriptionLength);

    [Fact]
    public void Vmdescription_that_is_cut_off() =>
        ExpectOnly(_image.CutAt(_image.Bytes.Length - 1), ImageRule.VmDescriptionLength, _image.DescriptionLength);

    [Fact]
    public void Vmdescription_that_is_no_JSON() =>
        ExpectOnly(_image.Put(_image.DescriptionLength + 4, (byte)'['), ImageRule.VmDescriptionText, _image.DescriptionLength + 4);

    [Fact]
    public void Device_that_the_vmdescription_does_not_list() =>
        ExpectOnly(
            _image.Insert(_image.Eof, TestImage.Section(9, "serial", 0, 3, [1])), ImageRule.DeviceList, _image.Eof);

    [Fact]
    public void Device_that_has_no_section() =>
        ExpectOnly(_image.Remove(_image.FirstDevice, 19 + 24 + 5), ImageRule.DeviceList, _image.DescriptionLength + 4 - (19 + 24 + 5));

    [Fact]
    public void Device_with_two_sections() =>
        ExpectOnly(
            _image.Insert(_image.FirstDevice, _image.Bytes[_image.FirstDevice..(_image.FirstDevice + 48)]), ImageRule.DeviceList, _image.FirstDevice + 48);

    [Fact]
    public void Device_of_another_version() =>
        ExpectOnly(_image.Put32(_image.FirstDevice + 15, 3), ImageRule.DeviceList, _image.FirstDevice);

    [Fact]
    public void Bytes_behind_the_vmdescription()
    {
        var end = _image.Bytes.Length;
        ExpectOnly(_image.Insert(end, 0, 0), ImageRule.TrailingBytes, end);
    }

    [Fact]
    public void Bytes_behind_the_EOF_byte() => Expect(_image.Put(_image.Eof + 1, 5), ImageRule.TrailingBytes, _image.Eof + 1);

    [Fact]
    public void Several_malformations_are_all_found()
    {
        _image.Put32(4, 2)
            .Put64(_image.PageSizeOf(TestImage.Ram), 8192)
            .Put32(_image.VersionOf(TestImage.Bios), 0)
            .Put(_image.EosFooter, 0x7f)
            .Put(_image.Eof - 1, 0x55);
        Assert.Equal(
            [
                (4, ImageRule.StreamVersion),
                (_image.PageSizeOf(TestImage.Ram), ImageRule.PageSize),
                (_image.VersionOf(TestImage.Bios), ImageRule.HeaderVersion),
                (_image.EosFooter, ImageRule.Footer),
                (_image.Eof - 5, ImageRule.Footer),
            ],
            _image.Verify().Select(violation => ((int)violation.Offset, violation.Rule)));
    }

    [Fact]
    public void The_check_of_a_wholly_damaged_image_stops_at_a_limit()
    {
        // 2000 block headers of one name, each with a wrong version, one behind the other.
        var block = Convert.FromHexString("0161" + "0000000000001000" + "00000000" + "0000000000001000" + "0000000000000000");
        var stream = new byte[2001 * 2 * Page.Size];
        _image.Bytes.AsSpan(0, 0x58).CopyTo(stream);
        stream[0x58 + 2] = 1;
        stream[0x58 + 7] = 4;
        var at = 0x60;
        for (var i = 1; i <= 2000; i++)
        {
            block.CopyTo(stream, at);
            var pages = i * 2 * Page.Size;
            stream.AsSpan(at + block.Length, 8).Clear();
            System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(stream.AsSpan(at + block.Length), pages);
            at = pages + Page.Size;
        }

        var violations = ImageVerifier.Verify(new MemoryImageInput(stream));
        Assert.Equal(1000, violations.Count);
        Assert.Contains(violations, violation => violation.Rule == ImageRule.Limit);
    }

    /// <summary>Expects the violation; further ones may follow from the same damage.</summary>
    private static void Expect(TestImage image, ImageRule rule, long offset)
    {
        var violations = image.Verify();
        Assert.Contains((offset, rule), violations.Select(violation => (violation.Offset, violation.Rule)));
        Assert.Throws<ImageFormatException>(image.Read);
    }

    /// <summary>Expects the violation and no other, but for those of a rule that follows from it.</summary>
    private static void ExpectOnly(TestImage image, ImageRule rule, long offset, ImageRule? follows = null)
    {
        var violations = image.Verify();
        Assert.Equal([(offset, rule)], violations.Where(violation => violation.Rule != follows).Select(violation => (violation.Offset, violation.Rule)));
        Assert.Throws<ImageFormatException>(image.Read);
    }
}

using System.Text;
using CsCheck;
using DistMigrate.MappedRam;

namespace DistMigrate.Tests.Unit.MappedRam;

public sealed class MappedRamImageTests
{
    [Fact]
    public void What_was_composed_is_read_back()
    {
        var composed = TestImage.Compose();
        var image = composed.Read();

        Assert.Empty(composed.Verify());
        Assert.Equal(TestImage.Machine, image.MachineName);
        Assert.Equal(["mapped-ram"], image.Capabilities);
        Assert.Equal(composed.Layout.Blocks, image.Blocks.Select(block => block.Layout));
        Assert.Equal([24, 2, 1], image.Blocks.Select(block => block.Shadow.Count()));
        Assert.Equal(composed.Layout.TailOffset, image.TailOffset);
        Assert.Equal(composed.Eof, image.EofOffset);
        Assert.True(image.HasVmDescription);
        Assert.Equal(
            TestImage.Description,
            Encoding.UTF8.GetString(composed.Bytes.AsSpan((int)image.VmDescriptionOffset, (int)image.VmDescriptionLength)));
        Assert.Equal(
            [
                new StreamSection(SectionKind.Start, "ram", 0, 4, TestImage.RamStart, composed.Part - TestImage.RamStart, 1),
                new StreamSection(SectionKind.Part, "ram", 0, 4, composed.Part, 18, 1),
                new StreamSection(SectionKind.End, "ram", 0, 4, composed.End, 18, 1),
            ],
            image.Sections.Take(3));
        Assert.Equal(
            [("timer", 0u, 2u, 0u), ("cpu", 1u, 12u, 3u), ("globalstate", 0u, 1u, 4u)],
            image.Sections.Skip(3).Select(section => (section.Name, section.Instance, section.Version, section.Id)));
        Assert.Equal(
            TestImage.Devices,
            image.Sections.Skip(3).SelectMany(section => composed.Bytes[(int)section.Offset..(int)(section.Offset + section.Length)]));
    }

    [Fact]
    public void Every_layout_with_every_bitmap_survives_the_way_through_the_file() =>
        (from blocks in Gen.Bool.Array[1, 150].Array[1, 3]
         from ramId in Gen.UInt[1, uint.MaxValue]
         select (blocks, ramId)).Sample(
            (blocks, ramId) =>
            {
                var shadows = blocks.Select((pages, i) => (Name: $"block{i}", Shadow: Bitmap(pages))).ToDictionary(b => b.Name, b => b.Shadow);
                var layout = ImageLayout.Create(
                    "microvm", [.. shadows.Select(b => new RamBlockSpec(b.Key, b.Value.PageCount * Page.Size))], ramId);
                var composed = TestImage.Compose(layout, shadows, new DeviceSections(TestImage.Devices, default));

                Assert.Empty(composed.Verify());
                var image = composed.Read();
                Assert.Equal(layout.Blocks, image.Blocks.Select(block => block.Layout));
                foreach (var block in image.Blocks)
                {
                    Assert.Equal(
                        Enumerable.Range(0, (int)block.Layout.PageCount).Select(page => shadows[block.Layout.Name][page]),
                        Enumerable.Range(0, (int)block.Layout.PageCount).Select(page => block.Shadow[page]));
                }
            },
            iter: 50);

    [Fact]
    public void A_guest_whose_pages_are_all_zero_is_a_whole_image()
    {
        var composed = TestImage.Compose(EmptyShadows());
        Assert.Empty(composed.Verify());
        Assert.All(composed.Read().Blocks, block => Assert.Equal(0, block.Shadow.Count()));
    }

    [Fact]
    public void Any_number_of_PARTs_is_accepted_and_none_too()
    {
        var composed = TestImage.Compose();
        var part = composed.Bytes[composed.Part..composed.Switchover];
        composed.Insert(composed.Part, [.. Enumerable.Repeat(part, 1000).SelectMany(bytes => bytes)]);
        Assert.Empty(composed.Verify());
        Assert.Single(composed.Read().Sections, section => section.Kind == SectionKind.Part);

        composed = TestImage.Compose();
        Assert.Empty(composed.Remove(composed.Part, composed.FirstDevice - composed.Part).Verify());
    }

    [Fact]
    public void Commands_and_a_UUID_before_the_RAM_are_accepted()
    {
        // They move everything behind them, so the block header has to say so; pages stay where they are.
        byte[] between = [0x08, 0, 1, 0, 0, 0x08, 0, 2, 0, 4, 0, 0, 0, 1, 0x08, 0, 3, 0, 0];
        byte[] uuid = [5, 18, .. "configuration/uuid"u8, 0, 0, 0, 1, .. new byte[16]];
        byte[] inserted = [.. uuid, .. between];
        var composed = TestImage.Compose();
        composed.Insert(TestImage.RamStart, inserted);
        composed.Remove((int)composed.Layout["pc.ram"].PagesOffset, inserted.Length);
        composed.Put64(composed.BitmapOffsetOf(TestImage.Ram) + inserted.Length, composed.Layout["pc.ram"].BitmapOffset + inserted.Length);

        Assert.Empty(composed.Verify());
    }

    [Fact]
    public void The_early_state_of_a_device_between_the_parts_of_the_RAM_is_accepted()
    {
        var composed = TestImage.Compose(devices: new DeviceSections(TestImage.Devices, default));
        composed.Insert(composed.Part, TestImage.Section(37, "0000:00:01.0/virtio-mem-device-early", 0, 1, new byte[38]));
        Assert.Empty(composed.Verify());
    }

    [Fact]
    public void Iterable_devices_with_parts_of_their_own_are_accepted()
    {
        byte[] footer = [0x7e, 0, 0, 0, 9];
        var composed = TestImage.Compose();
        composed.Insert(composed.End, [0x02, 0, 0, 0, 9, 0x02, 0x6e, 0x30, .. footer, 0x03, 0, 0, 0, 9, 1, .. footer]);
        composed.Insert(composed.Part, [0x01, 0, 0, 0, 9, 12, .. "dirty-bitmap"u8, 0, 0, 0, 0, 0, 0, 0, 1, 0x1c, 2, .. footer]);

        Assert.Empty(composed.Verify());
        Assert.Equal(
            ["ram", "dirty-bitmap", "ram", "dirty-bitmap", "dirty-bitmap", "ram", "timer", "cpu", "globalstate"],
            composed.Read().Sections.Select(section => section.Name));
    }

    [Fact]
    public void Bitmaps_may_stand_behind_the_end_of_the_stream()
    {
        foreach (var description in new[] { TestImage.Description, "" })
        {
            var composed = TestImage.Compose();
            if (description.Length == 0)
            {
                composed.CutAt(composed.Eof + 1);
            }

            var block = composed.Layout["pc.ram"];
            var end = (composed.Bytes.Length + 4095) / 4096 * 4096;
            var bitmap = composed.Bytes.AsSpan((int)block.BitmapOffset, (int)block.BitmapLength).ToArray();
            composed.Put((int)block.BitmapOffset, new byte[bitmap.Length]);
            composed.Insert(composed.Bytes.Length, new byte[end - composed.Bytes.Length + bitmap.Length]);
            composed.Put(end, bitmap).Put64(composed.BitmapOffsetOf(TestImage.Ram), end);

            Assert.Empty(composed.Verify());
            var image = composed.Read();
            Assert.Equal(24, image.Blocks[0].Shadow.Count());
            Assert.Equal(description.Length > 0, image.HasVmDescription);
        }
    }

    [Fact]
    public void An_image_without_vmdescription_is_read_by_its_footers_alone()
    {
        var composed = TestImage.Compose();
        composed.CutAt(composed.Eof + 1);
        Assert.Empty(composed.Verify());
        var image = composed.Read();
        Assert.False(image.HasVmDescription);
        Assert.Equal(["timer", "cpu", "globalstate"], image.Sections.Skip(3).Select(section => section.Name));
    }

    [Fact]
    public void Reading_throws_at_the_first_malformation_with_its_place()
    {
        var composed = TestImage.Compose();
        composed.Put32(composed.VersionOf(TestImage.Ram), 2).Put64(composed.PageSizeOf(TestImage.Bios), 0);
        var error = Assert.Throws<ImageFormatException>(composed.Read);
        Assert.Equal((composed.VersionOf(TestImage.Ram), ImageRule.HeaderVersion), (error.Offset, error.Rule));
        Assert.Contains("pc.ram", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_is_read_as_memory_is()
    {
        var composed = TestImage.Compose();
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            File.WriteAllBytes(path, composed.Bytes);
            using var input = new FileImageInput(path);
            Assert.Equal(composed.Bytes.Length, input.Length);
            Assert.Empty(ImageVerifier.Verify(input));
            Assert.Equal(composed.Read().Sections, MappedRamImage.Read(input).Sections);
            Assert.Throws<EndOfStreamException>(() => input.ReadExactly(input.Length - 1, new byte[2]));
            using var memory = new MemoryImageInput(composed.Bytes);
            Assert.Throws<EndOfStreamException>(() => memory.ReadExactly(memory.Length - 1, new byte[2]));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static Dictionary<string, PageBitmap> EmptyShadows() =>
        new[] { TestImage.Ram, TestImage.Bios, TestImage.Rsdp }
            .ToDictionary(block => block.Name, block => new PageBitmap(Page.Count(block.UsedLength)));

    private static PageBitmap Bitmap(bool[] pages)
    {
        var bitmap = new PageBitmap(pages.Length);
        for (var page = 0; page < pages.Length; page++)
        {
            if (pages[page])
            {
                bitmap.Set(page);
            }
        }

        return bitmap;
    }
}

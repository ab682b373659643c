using DistMigrate.MappedRam;

namespace DistMigrate.Tests.Unit.MappedRam;

public sealed class ImageExcerptTests
{
    [Fact]
    public void An_excerpt_is_a_well_formed_image_of_the_chosen_RAMBlocks_with_all_devices()
    {
        var whole = TestImage.Compose(ramId: 5);
        using var input = new MemoryImageInput(whole.Bytes);
        var image = MappedRamImage.Read(input);
        using var output = new MemoryStream();
        ImageExcerpt.Write(image, input, name => name != TestImage.Ram.Name, output);

        var bytes = output.ToArray();
        using var written = new MemoryImageInput(bytes);
        Assert.Empty(ImageVerifier.Verify(written));
        var excerpt = MappedRamImage.Read(written);
        Assert.Equal([TestImage.Bios.Name, TestImage.Rsdp.Name], excerpt.Blocks.Select(block => block.Layout.Name));
        Assert.Equal(image.MachineName, excerpt.MachineName);
        foreach (var block in excerpt.Blocks)
        {
            var original = image.Blocks.Single(candidate => candidate.Layout.Name == block.Layout.Name);
            for (var page = 0; page < block.Layout.PageCount; page++)
            {
                Assert.Equal(original.Shadow[page], block.Shadow[page]);
                if (block.Shadow[page])
                    Assert.True(PageOf(bytes, block, page).SequenceEqual(PageOf(whole.Bytes, original, page)), $"page {page} of {block.Layout.Name}");
            }
        }

        var (expected, found) = (ImageExcerpt.Devices(image, input), ImageExcerpt.Devices(excerpt, written));
        Assert.Equal(TestImage.Devices, found.Sections.ToArray());
        Assert.Equal(expected.VmDescription.ToArray(), found.VmDescription.ToArray());
    }

    [Fact]
    public void An_excerpt_without_any_RAMBlock_is_refused()
    {
        using var input = new MemoryImageInput(TestImage.Compose().Bytes);
        Assert.Throws<ArgumentException>(() => ImageExcerpt.Write(MappedRamImage.Read(input), input, _ => false, Stream.Null));
    }

    private static ReadOnlySpan<byte> PageOf(byte[] bytes, MappedRamBlock block, int page) =>
        bytes.AsSpan((int)block.Layout.PagesOffset + (page * Page.Size), Page.Size);
}

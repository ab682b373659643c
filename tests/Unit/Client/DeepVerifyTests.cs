using System.Text.Json;
using DistMigrate.Client;
using DistMigrate.Client.Commands;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Posix;
using DistMigrate.Tests.Unit.MappedRam;

namespace DistMigrate.Tests.Unit.Client;

public sealed class DeepVerifyTests : IDisposable
{
    private readonly TestSurroundings _test = new();
    private readonly TestImage _image = TestImage.Compose();

    public void Dispose() => _test.Dispose();

    private string ImagePath => Path.Combine(_test.Folder, "guest.img");

    [Fact]
    public async Task An_image_whose_pages_are_as_they_were_saved_is_proven()
    {
        Write();
        Assert.Equal(ExitCode.Ok, await _test.RunAsync("verify", "guest.img", "--deep"));
        Assert.StartsWith("OK: 3 blocks, 27 pages present, ", _test.Out, StringComparison.Ordinal);
        Assert.EndsWith("; all 76 pages are as they were saved", _test.Out.Trim(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_page_that_was_changed_since_is_told_with_its_place()
    {
        Write();
        await FlipAsync("pc.ram", 3);
        Assert.Equal(ExitCode.Malformed, await _test.RunAsync("verify", "guest.img", "--deep"));
        Assert.Contains($"0x{_image.Layout["pc.ram"].PagesOffset + (3 * Page.Size):x}: page 3 of RAMBlock pc.ram: ", _test.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("OK", _test.Out, StringComparison.Ordinal);
        Assert.Contains("a page of", _test.Error, StringComparison.Ordinal);
        Assert.Contains("hint: ", _test.Error, StringComparison.Ordinal);
        // Its structure is sound, which is all that is looked at without --deep.
        Assert.Equal(ExitCode.Ok, await _test.RunAsync("verify", "guest.img"));
    }

    [Fact]
    public async Task The_verdict_on_pages_is_in_JSON()
    {
        Write();
        await FlipAsync("pc.bios", 0);
        await FlipAsync("pc.ram", 1);
        Assert.Equal(ExitCode.Malformed, await _test.RunAsync("verify", "guest.img", "--deep", "-o", "json"));
        var verdict = JsonDocument.Parse(_test.Out).RootElement;
        Assert.False(verdict.GetProperty("ok").GetBoolean());
        Assert.Equal(0, verdict.GetProperty("violations").GetArrayLength());
        var pages = verdict.GetProperty("pages");
        Assert.Equal((76, 2), (pages.GetProperty("compared").GetInt64(), pages.GetProperty("wrong").GetInt64()));
        Assert.Equal(
            [("pc.ram", 1), ("pc.bios", 0)],
            pages.GetProperty("violations").EnumerateArray().Select(v => (v.GetProperty("ramblock").GetString()!, v.GetProperty("page").GetInt32())));
    }

    [Fact]
    public async Task Without_checksums_nothing_is_proven_and_the_command_says_so()
    {
        Write();
        File.Delete(ImagePath + ".checksums");
        Assert.Equal(ExitCode.NotFound, await _test.RunAsync("verify", "guest.img", "--deep"));
        Assert.Contains($"{ImagePath}.checksums do not exist", _test.Error, StringComparison.Ordinal);
        Assert.Empty(_test.Out);
    }

    [Fact]
    public async Task Checksums_that_are_damaged_prove_nothing()
    {
        Write();
        var bytes = await File.ReadAllBytesAsync(ImagePath + ".checksums");
        bytes[700] ^= 1;
        await File.WriteAllBytesAsync(ImagePath + ".checksums", bytes);
        Assert.Equal(ExitCode.Malformed, await _test.RunAsync("verify", "guest.img", "--deep"));
        Assert.Contains("proves nothing about the image", _test.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_malformed_image_is_told_before_its_pages_are_looked_at()
    {
        _image.Put32(_image.PageSizeOf(TestImage.Ram), 0);
        _image.Put32(_image.PageSizeOf(TestImage.Ram) + 4, 0);
        Write();
        File.Delete(ImagePath + ".checksums");
        Assert.Equal(ExitCode.Malformed, await _test.RunAsync("verify", "guest.img", "--deep"));
        Assert.Contains("page-size", _test.Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/dev/shm")]
    [InlineData("/var/tmp")]
    public void Every_byte_reads_the_same_past_the_page_cache_at_any_place_and_into_any_memory(string folder)
    {
        var path = Path.Combine(folder, $"dm-unit-{Guid.NewGuid():N}");
        var bytes = new byte[(16 * Page.Size) + 123];
        new Random(1).NextBytes(bytes);
        File.WriteAllBytes(path, bytes);
        try
        {
            using var input = new DirectImageInput(path);
            Assert.Equal(bytes.Length, input.Length);
            var memory = GC.AllocateUninitializedArray<byte>(6 * Page.Size, pinned: true);
            foreach (var (offset, length) in new[] { (0, Page.Size), (Page.Size, 4 * Page.Size), (5, Page.Size), (Page.Size, 100), (bytes.Length - 123, 123) })
            {
                for (var shift = 0; shift < Page.Size; shift += 512)
                {
                    input.ReadExactly(offset, memory.AsSpan(shift, length));
                    Assert.True(memory.AsSpan(shift, length).SequenceEqual(bytes.AsSpan(offset, length)));
                }
            }

            Assert.Throws<EndOfStreamException>(() => input.ReadExactly(bytes.Length - 10, memory.AsSpan(0, 20)));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Holes_are_told_from_data()
    {
        var path = Path.Combine(_test.Folder, "sparse");
        using (var file = Libc.Open(path, OpenFlags.WriteOnly | OpenFlags.Create))
        {
            Libc.Truncate(file, 64 << 20);
            Libc.PWriteExactly(file, new byte[Page.Size], 32 << 20);
        }

        using var input = new DirectImageInput(path);
        Assert.Equal(32 << 20, input.FindData(0));
        Assert.Equal(64 << 20, input.FindData(40 << 20));
    }

    private async Task FlipAsync(string block, long page)
    {
        await using var file = File.Open(ImagePath, FileMode.Open);
        file.Position = _image.Layout[block].PagesOffset + (page * Page.Size) + 17;
        var old = file.ReadByte();
        file.Position--;
        file.WriteByte((byte)(old ^ 4));
    }

    private void Write()
    {
        var identity = JournalScript.NewIdentity([.. _image.Layout.Blocks.Select(block => new JournalBlock(block.Name, block.PageCount))])
            with
        { LayoutDigest = LayoutDigest.Compute(_image.Layout) };
        var script = new JournalScript(identity);
        for (var block = 0; block < _image.Layout.Blocks.Count; block++)
        {
            var layout = _image.Layout.Blocks[block];
            var entries = Enumerable.Range(0, (int)layout.PageCount).Select(page => page % 3 == 0
                ? JournalEntry.OfContent(_image.Bytes.AsSpan((int)layout.PagesOffset + (page * Page.Size), Page.Size))
                : JournalEntry.Zero);
            script.Durable(block, new PageRun(0, layout.PageCount), [.. entries]);
        }

        File.WriteAllBytes(ImagePath, _image.Bytes);
        File.WriteAllBytes(ImagePath + ".checksums", script.Complete(_image.Bytes.Length).Seal().Bytes);
    }
}

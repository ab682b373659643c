using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Tests.Unit.MappedRam;

public sealed class DeepVerifierTests
{
    private readonly TestImage _image = TestImage.Compose();

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void An_image_as_it_was_written_is_proven_and_progress_ends_at_all_of_its_memory(int parallelism)
    {
        var progress = new Progress();
        var proof = Verify(_image.Checksums(), parallelism, progress);
        Assert.Equal((76, 0), (proof.Pages, proof.Bad));
        Assert.Empty(proof.Violations);
        Assert.Equal(_image.Layout.TotalRam, progress.Most);
    }

    [Fact]
    public void A_flipped_bit_in_any_page_is_found_where_it_is()
    {
        var checksums = _image.Checksums();
        foreach (var block in _image.Layout.Blocks)
        {
            for (var page = 0; page < block.PageCount; page++)
            {
                var at = (int)block.PagesOffset + (page * Page.Size) + (page * 37 % Page.Size);
                _image.Bytes[at] ^= 0x10;
                var violation = Assert.Single(Verify(checksums).Violations);
                Assert.Equal((block.PagesOffset + (page * Page.Size), block.Name, page), (violation.Offset, violation.Block, violation.Page));
                _image.Bytes[at] ^= 0x10;
            }
        }
    }

    [Fact]
    public void A_page_that_checksums_and_shadow_bitmap_do_not_agree_on_is_found()
    {
        var proof = Verify(_image.Checksums((block, page, entry) => (block, page) switch
        {
            (0, 0) => JournalEntry.Zero,
            (0, 1) => JournalEntry.OfContent(new byte[Page.Size]),
            (0, 3) => JournalEntry.None,
            (1, 1) => JournalEntry.None,
            _ => entry,
        }));
        Assert.Equal(4, proof.Bad);
        Assert.Equal([0, 1, 3, 1], proof.Violations.Select(violation => violation.Page));
    }

    [Fact]
    public void Checksums_that_are_cut_or_a_journal_or_damaged_are_refused()
    {
        var good = _image.Checksums();
        Assert.Equal(JournalRule.Incomplete, Refused(good[..^120]));
        Assert.Equal(JournalRule.Incomplete, Refused([.. good, 1]));
        Assert.Equal(JournalRule.Incomplete, Refused([]));
        Assert.Equal(JournalRule.Incomplete, Refused(new JournalScript(_image.Identity()).Seal().Bytes));
        good[600] ^= 1;
        Assert.Equal(JournalRule.Record, Refused(good));
    }

    [Fact]
    public void Checksums_of_another_image_are_refused()
    {
        Assert.Equal(JournalRule.Mismatch, Refused(new JournalScript(_image.Identity() with { LayoutDigest = new string('0', 32) }).Complete(_image.Bytes.Length).Seal().Bytes));
        Assert.Equal(JournalRule.Mismatch, Refused(new JournalScript(_image.Identity() with { Blocks = [new("pc.ram", 1)] }).Complete(_image.Bytes.Length).Seal().Bytes));
        Assert.Equal(JournalRule.Mismatch, Refused(new JournalScript(_image.Identity()).Complete(_image.Bytes.Length + 1).Seal().Bytes));
    }

    [Fact]
    public void Many_bad_pages_are_counted_and_a_hundred_of_them_told()
    {
        var layout = ImageLayout.Create("microvm", [new RamBlockSpec("ram", 300 * Page.Size)]);
        var image = TestImage.Compose(layout, null, new DeviceSections(TestImage.Devices, "{}"u8.ToArray()));
        var script = new JournalScript(JournalScript.NewIdentity(new JournalBlock("ram", 300)) with { LayoutDigest = LayoutDigest.Compute(layout) });
        var proof = DeepVerifier.Verify(
            new MemoryImageInput(image.Bytes), new MemoryImageInput(script.Complete(image.Bytes.Length).Seal().Bytes), 2);
        Assert.Equal((300, 300, 100), (proof.Pages, proof.Bad, proof.Violations.Count));
    }

    [Fact]
    public void Holes_are_not_read_and_count_as_zero()
    {
        var input = new SparseInput(_image.Bytes, data: _image.Layout.Blocks[1].PagesOffset);
        var proof = DeepVerifier.Verify(input, new MemoryImageInput(_image.Checksums()), 1);
        Assert.Equal(_image.Layout.Blocks[0].PageCount / 3 + 1, proof.Bad);
        Assert.All(proof.Violations, violation => Assert.Equal("pc.ram", violation.Block));
    }

    [Fact]
    public void A_failing_storage_and_a_cancelled_check_end_it()
    {
        var checksums = new MemoryImageInput(_image.Checksums());
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => DeepVerifier.Verify(new MemoryImageInput(_image.Bytes), checksums, 2, null, cancelled.Token));
        Assert.Throws<IOException>(() => DeepVerifier.Verify(new FailingInput(_image.Bytes), checksums, 2));
    }

    private DeepVerification Verify(byte[] checksums, int parallelism = 2, IProgress<long>? progress = null) =>
        DeepVerifier.Verify(new MemoryImageInput(_image.Bytes), new MemoryImageInput(checksums), parallelism, progress);

    private JournalRule Refused(byte[] checksums) => Assert.Throws<JournalException>(() => Verify(checksums)).Rule;

    private sealed class Progress : IProgress<long>
    {
        private readonly Lock _gate = new();

        public long Most { get; private set; }

        public void Report(long value)
        {
            lock (_gate)
            {
                Most = Math.Max(Most, value);
            }
        }
    }

    /// <summary>Tells that all before some offset is a hole, but for the headers.</summary>
    private sealed class SparseInput(byte[] bytes, long data) : ISparseImageInput
    {
        private readonly MemoryImageInput _input = new(bytes);

        public long Length => _input.Length;

        public long FindData(long offset) => Math.Max(offset, data);

        public void ReadExactly(long offset, Span<byte> buffer) => _input.ReadExactly(offset, buffer);

        public void Dispose()
        {
        }
    }

    /// <summary>Fails where pages are read.</summary>
    private sealed class FailingInput(byte[] bytes) : IImageInput
    {
        private readonly MemoryImageInput _input = new(bytes);

        public long Length => _input.Length;

        public void ReadExactly(long offset, Span<byte> buffer)
        {
            if (buffer.Length == 70 * Page.Size)
            {
                throw new IOException("The test says so.");
            }

            _input.ReadExactly(offset, buffer);
        }

        public void Dispose()
        {
        }
    }
}

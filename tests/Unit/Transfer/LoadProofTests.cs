using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Tests.Unit.MappedRam;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class LoadProofTests : IDisposable
{
    private readonly TestFolder _folder = new();
    private readonly TestImage _image = TestImage.Compose();
    private readonly SyntheticMemory[] _memories;
    private readonly JournalIdentity _identity;

    public LoadProofTests()
    {
        _identity = _image.Identity();
        _memories = [.. _image.Layout.Blocks.Select(block => Loaded(block.PageCount))];
        File.WriteAllBytes(ImagePath, _image.Bytes);
        File.WriteAllBytes(ImagePath + ".checksums", _image.Checksums(identity: _identity));
    }

    private string ImagePath => _folder["guest.image"];

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void Memory_as_it_was_saved_is_proven_and_no_hole_of_it_is_read(int parallelism)
    {
        foreach (var memory in _memories)
            memory.BeforeRead = (first, count) => Assert.All(Enumerable.Range((int)first, count), page => Assert.False(memory.IsHole(page)));
        var proof = Prove(parallelism);
        Assert.Equal((76, 0), (proof.Pages, proof.Bad));
        Assert.All(_memories, memory => Assert.False(memory.IsDisposed));
    }

    [Fact]
    public void A_zero_page_that_is_no_hole_is_as_good_as_one()
    {
        foreach (var memory in _memories.Where(memory => memory.Length > Page.Size))
            memory.Fill(new PageRun(1, 1), 0);
        Assert.Equal(0, Prove().Bad);
    }

    [Fact]
    public void Any_wrong_page_is_found_where_it_is()
    {
        for (var block = 0; block < _memories.Length; block++)
        {
            for (var page = 0L; page < _memories[block].Length / Page.Size; page++)
            {
                var run = new PageRun(page, 1);
                _memories[block].Fill(run, (byte)(TestImage.IsPresent(page) ? TestImage.Filling ^ 0x10 : 1));
                AssertBad(block, page);
                _memories[block].Free(run);
                if (TestImage.IsPresent(page))
                {
                    AssertBad(block, page);
                    _memories[block].Fill(run, TestImage.Filling);
                }
            }
        }

        void AssertBad(int block, long page)
        {
            var violation = Assert.Single(Prove().Violations);
            Assert.Equal((_image.Layout.Blocks[block].Name, page), (violation.Block, violation.Page));
        }
    }

    [Fact]
    public void A_failure_counts_the_wrong_pages_and_names_the_first()
    {
        for (var page = 0; page < 14; page++)
            _memories[0].Fill(new PageRun(page, 1), 7);
        var failure = LoadProof.Failure(ImagePath, Prove(parallelism: 1));
        Assert.Equal(ImageFault.Mismatch, failure.Fault);
        Assert.StartsWith($"14 of 76 pages that QEMU loaded from {ImagePath}", failure.Message, StringComparison.Ordinal);
        Assert.Contains("page 0 of RAMBlock pc.ram: its hash is", failure.Message, StringComparison.Ordinal);
        Assert.Contains("page 1 of RAMBlock pc.ram: it is a zero page", failure.Message, StringComparison.Ordinal);
        Assert.Contains("; and 9 more)", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_checksums_prove_nothing()
    {
        File.Delete(ImagePath + ".checksums");
        Assert.Equal(ImageFault.NotFound, Refused());
    }

    [Fact]
    public void Damaged_or_incomplete_checksums_prove_nothing()
    {
        var good = File.ReadAllBytes(ImagePath + ".checksums");
        File.WriteAllBytes(ImagePath + ".checksums", good[..^120]);
        Assert.Equal(ImageFault.Malformed, Refused());
        good[600] ^= 1;
        File.WriteAllBytes(ImagePath + ".checksums", good);
        Assert.Equal(ImageFault.Malformed, Refused());
    }

    [Fact]
    public void Checksums_of_another_image_prove_nothing()
    {
        Assert.Equal(ImageFault.Mismatch, Refused(Guid.NewGuid()));
        Assert.Equal(0, Prove(imageId: Guid.Empty).Bad);
        File.WriteAllBytes(ImagePath + ".checksums", new JournalScript(_identity with { LayoutDigest = new string('0', 32) }).Complete(_image.Bytes.Length).Seal().Bytes);
        Assert.Equal(ImageFault.Mismatch, Refused());
        File.WriteAllBytes(ImagePath + ".checksums", new JournalScript(_identity).Complete(_image.Bytes.Length + 1).Seal().Bytes);
        Assert.Equal(ImageFault.Mismatch, Refused());
    }

    [Fact]
    public void Memory_of_another_size_is_refused()
    {
        _memories[1] = Loaded(6);
        Assert.Equal(ImageFault.Mismatch, Refused());
    }

    [Fact]
    public void A_cancelled_proof_ends()
    {
        using var cancelled = new CancellationTokenSource();
        _memories[0].BeforeRead = (_, _) => cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => LoadProof.Prove(ImagePath, _image.Read(), _identity.ImageId, _memories, 1, null, cancelled.Token));
    }

    [Fact]
    public void Pages_read_as_the_guest_has_them_wherever_its_holes_are()
    {
        const int Pages = 300;
        var random = new Random(4);
        var memory = new SyntheticMemory(Pages);
        for (var page = 0; page < Pages; page += random.Next(1, 9))
            memory.Fill(new PageRun(page, Math.Min(random.Next(1, 5), Pages - page)), (byte)random.Next(256));
        var source = new GuestPages([memory]);
        var buffer = new byte[Pages * Page.Size];
        for (var i = 0; i < 500; i++)
        {
            var first = random.Next(Pages);
            var run = new PageRun(first, random.Next(1, Math.Min(40, Pages - first + 1)));
            var part = buffer.AsSpan(0, (int)run.Length);
            part.Fill(0xee);
            var pages = Enumerable.Range(first, (int)run.Count).ToList();
            Assert.Equal(pages.Exists(page => !memory.IsHole(page)), source.TryRead(0, run, part));
            if (pages.TrueForAll(page => memory.IsHole(page)))
                continue;
            foreach (var page in pages)
                Assert.True(memory[page].SequenceEqual(part.Slice((page - first) * Page.Size, Page.Size)), $"page {page} of {run}");
        }
    }

    public void Dispose() => _folder.Dispose();

    private static SyntheticMemory Loaded(long pages)
    {
        var memory = new SyntheticMemory((int)pages);
        for (var page = 0; page < pages; page++)
        {
            if (TestImage.IsPresent(page))
                memory.Fill(new PageRun(page, 1), TestImage.Filling);
        }

        return memory;
    }

    private DeepVerification Prove(int parallelism = 2, Guid? imageId = null) =>
        LoadProof.Prove(ImagePath, _image.Read(), imageId ?? _identity.ImageId, _memories, parallelism);

    private ImageFault Refused(Guid? imageId = null) => Assert.Throws<ImageException>(() => Prove(imageId: imageId)).Fault;
}

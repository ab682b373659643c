using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.Posix;
using DistMigrate.Tests.Lab;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>What a stock QEMU loaded from an image of ours, proven from outside before anyone lets it run.</summary>
public sealed class LoadProofTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Memfd)]
    [InlineData(MemoryKind.Private)]
    public async Task A_loaded_guest_is_proven_with_all_of_its_blocks(MemoryKind memory)
    {
        var (recipe, image) = await SaveAsync(memory);
        await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
        (await StockLoad.LoadAsync(target, image, FileMigration.Multifd)).ThrowUnlessCompleted();
        var progress = new Progress();
        var proof = await ProveAsync(target, image, progress);
        Assert.Equal(0, proof.Bad);
        Assert.Equal(ImageOracle.Layout(image).Sum(block => block.UsedLength), proof.Pages * Page.Size);
        Assert.Equal(proof.Pages * Page.Size, progress.Most);
    }

    [RequiresQemuFact]
    public async Task A_byte_that_changed_in_the_memory_of_the_target_is_found_and_holes_stay_holes()
    {
        var (recipe, image) = await SaveAsync(MemoryKind.SharedFile);
        await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
        (await StockLoad.LoadAsync(target, image, FileMigration.Multifd)).ThrowUnlessCompleted();
        var file = Path.Combine(target.MemoryFolder, "pc.ram");
        var allocated = Libc.Identify(file).AllocatedBytes;
        Assert.Equal(0, (await ProveAsync(target, image)).Bad);
        Assert.Equal(allocated, Libc.Identify(file).AllocatedBytes);

        var present = ImageOracle.PagesPresent(image, "pc.ram");
        var wrong = present[^1];
        var notZero = Enumerable.Range(0, recipe.MiB * 256).Select(page => (long)page).First(page => !present.Contains(page));
        using (var memory = File.OpenHandle(file, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite))
        {
            var old = new byte[1];
            Assert.Equal(1, await RandomAccess.ReadAsync(memory, old, (wrong * Page.Size) + 77));
            await RandomAccess.WriteAsync(memory, new[] { (byte)(old[0] ^ 4) }, (wrong * Page.Size) + 77);
            await RandomAccess.WriteAsync(memory, new byte[] { 1 }, (notZero * Page.Size) + 4095);
        }

        var proof = await ProveAsync(target, image);
        Assert.Equal(
            new[] { ("pc.ram", wrong), ("pc.ram", notZero) }.OrderBy(page => page.Item2),
            proof.Violations.Select(violation => (violation.Block, violation.Page)));
        Assert.Contains($"page {wrong} of RAMBlock pc.ram", LoadProof.Failure(image, proof).Message, StringComparison.Ordinal);
    }

    private static async Task<DeepVerification> ProveAsync(QemuProcess target, string image, IProgress<long>? progress = null)
    {
        await using var guest = await QemuGuest.ConnectAsync("vm1", target.QmpSocket, TimeProvider.System, CancellationToken.None);
        using var input = new FileImageInput(image);
        return await LoadProof.ProveAsync(
            image, MappedRamImage.Read(input), ImageManifest.Read(image)!.ImageId, guest, parallelism: 2, progress, CancellationToken.None);
    }

    private async Task<(GuestRecipe Recipe, string Image)> SaveAsync(MemoryKind memory)
    {
        var image = product.Image($"{Guid.NewGuid():N}.image");
        await using var source = await QemuProcess.StartAsync(new GuestRecipe { Memory = memory, Boot = new SelfCheckBoot { Seed = 3, UpperMiB = 40 } });
        await source.WaitUntilReadyAsync();
        await product.SaveAsync(source, image, "--then", "quit");
        await source.WaitForExitAsync();
        return (source.Recipe, image);
    }

    /// <summary>How far it came. Told by several threads.</summary>
    private sealed class Progress : IProgress<long>
    {
        private long _most;

        public long Most => Volatile.Read(ref _most);

        public void Report(long value)
        {
            for (var seen = Most; value > seen && Interlocked.CompareExchange(ref _most, value, seen) != seen; seen = Most)
            {
            }
        }
    }
}

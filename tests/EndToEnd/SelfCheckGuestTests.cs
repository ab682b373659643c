using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>A guest that rewrites its memory at full speed and complains about any page that is not as it left it.</summary>
public sealed class SelfCheckGuestTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    // Random words in 48 of 64 MiB; the rest stays untouched, so that zero pages have their part.
    private static readonly GuestRecipe Recipe = new() { MiB = 64, Boot = new SelfCheckBoot { Seed = 7, UpperMiB = 48 } };

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Memfd)]
    [InlineData(MemoryKind.Private)]
    public async Task A_running_guest_is_saved_and_a_stock_QEMU_loads_it_in_each_way_and_runs_it_on(MemoryKind memory)
    {
        var atStop = await RoundTrip.RunAsync(product, Recipe with { Memory = memory }, steps: 3, (_, after) =>
            Assert.DoesNotContain("START", after, StringComparison.Ordinal));
        Assert.InRange(atStop.NonZeroPageCount("pc.ram"), 47 * 256, 56 * 256);
    }

    [RequiresQemuTheory]
    [InlineData(2048, 2048)]
    [InlineData(1536, 512)]
    public async Task A_page_that_is_torn_in_our_image_makes_the_guest_complain(int start, int length)
    {
        const long Page = 0x1234;
        var image = product.Image($"torn-{start}.image");
        await using var source = await QemuProcess.StartAsync(Recipe);
        await source.WaitUntilReadyAsync();
        await product.SaveAsync(source, image);
        var atStop = await GuestMemoryOracle.CaptureAsync(source);
        ImageOracle.Damage(image, "pc.ram", Page, start, length);

        await using var target = await QemuProcess.StartAsync(Recipe.AsTarget());
        (await StockLoad.LoadAsync(target, image, FileMigration.Plain)).ThrowUnlessCompleted();
        Assert.Contains($"page {Page} at 0x1234000 differs", atStop.DifferenceTo(await GuestMemoryOracle.CaptureAsync(target)), StringComparison.Ordinal);
        await target.ContinueAsync();
        var complaint = await Assert.ThrowsAsync<InvalidOperationException>(() => target.WaitForStepsAsync(3));
        Assert.Contains("BAD 01234000", complaint.Message, StringComparison.Ordinal);
    }

    [RequiresQemuFact]
    public async Task A_page_that_is_lost_from_our_image_makes_the_guest_complain()
    {
        const long Page = 0x1234;
        var image = product.Image("lost.image");
        await using var source = await QemuProcess.StartAsync(Recipe);
        await source.WaitUntilReadyAsync();
        await product.SaveAsync(source, image);
        ImageOracle.Lose(image, "pc.ram", Page);

        await using var target = await QemuProcess.StartAsync(Recipe.AsTarget());
        (await StockLoad.LoadAsync(target, image, FileMigration.Multifd)).ThrowUnlessCompleted();
        await target.ContinueAsync();
        var complaint = await Assert.ThrowsAsync<InvalidOperationException>(() => target.WaitForStepsAsync(3));
        Assert.Contains("BAD 01234000", complaint.Message, StringComparison.Ordinal);
    }
}

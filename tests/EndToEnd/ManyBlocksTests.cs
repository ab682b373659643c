using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>Guests with more than one large RAMBlock.</summary>
public sealed class ManyBlocksTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile, 2, 96)]
    [InlineData(MemoryKind.Private, 16, 64)]
    [InlineData(MemoryKind.Memfd, 16, 64)]
    public async Task A_guest_of_several_backends_is_saved_and_loaded_and_each_of_its_blocks_is_accounted_for(MemoryKind memory, int nodes, int mib)
    {
        var recipe = new GuestRecipe { Memory = memory, MiB = mib, NumaNodes = nodes, VCpus = 2, Boot = new SelfCheckBoot { Seed = 5, UpperMiB = mib - 2 } };
        var image = product.Image($"{memory}.image");
        await using var source = await QemuProcess.StartAsync(recipe);
        await source.WaitUntilReadyAsync();
        var migration = await product.SaveAsync(source, image);
        var atStop = await GuestMemoryOracle.CaptureAsync(source);
        Assert.Equal(nodes, atStop.Blocks.Count(block => block.StartsWith("mem", StringComparison.Ordinal)));

        var listed = await BlocksAsync(migration.GetProperty("id").GetString()!);
        Assert.Equal(atStop.Blocks, listed.Keys.Order(StringComparer.Ordinal));
        foreach (var (name, block) in listed)
        {
            var pages = atStop.PageCount(name);
            var present = atStop.NonZeroPageCount(name);
            Assert.Equal("completed", block.GetProperty("activity").GetString());
            Assert.Equal(pages * 4096, Number("used-length"));
            Assert.Equal(pages, Number("pages-dirty") + Number("pages-in-flight") + Number("pages-written") + Number("pages-durable"));
            Assert.Equal(pages, Number("pages-durable"));
            Assert.Equal(pages - present, Number("pages-zero"));
            Assert.Equal(present, Number("normal"));
            Assert.Equal(pages - present, Number("duplicate"));
            Assert.Equal(present, ImageOracle.PagesPresent(image, name).Count);

            long Number(string property) => block.GetProperty(property).GetInt64();
        }

        await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
        (await StockLoad.LoadAsync(target, image, FileMigration.Multifd)).ThrowUnlessCompleted();
        GuestMemoryOracle.AssertEqual(atStop, await GuestMemoryOracle.CaptureAsync(target));
        await target.ContinueAsync();
        await target.WaitForStepsAsync(3);
    }

    [RequiresQemuFact]
    public async Task The_blocks_of_a_guest_advance_side_by_side()
    {
        var recipe = new GuestRecipe { MiB = 64, NumaNodes = 2, Boot = new SelfCheckBoot { Seed = 5 } };
        await using var source = await QemuProcess.StartAsync(recipe);
        await source.WaitUntilReadyAsync();

        // Far more time than the test takes, however slow the machine is.
        var id = await product.BeginSaveAsync(source, product.Image("slow.image"), "--bwlimit", "1MiB/s");
        var seen = "";
        await Wait.UntilAsync(
            async () =>
            {
                var pages = PrometheusText.Parse(await product.GetAsync("/metrics")).Where(sample => sample.Name == "distmigrate_ramblock_pages").ToList();
                seen = string.Join('\n', pages);
                return IsBegunAndNotDone(pages, "mem0") && IsBegunAndNotDone(pages, "mem1");
            },
            "both blocks have pages written and pages to write",
            details: () => seen);
        (await product.RunAsync("cancel", id)).ExpectOk();
    }

    private static bool IsBegunAndNotDone(List<PrometheusText> pages, string block)
    {
        return Of("dirty") > 0 && Of("written") + Of("durable") > 0;

        double Of(string state) => pages.Where(sample => sample.Is("ramblock", block) && sample.Is("state", state)).Sum(sample => sample.Value);
    }

    private async Task<Dictionary<string, JsonElement>> BlocksAsync(string id) =>
        (await product.RunAsync("blocks", id, "--output", "json")).ExpectOk().Json.GetProperty("blocks").EnumerateArray()
            .ToDictionary(block => block.GetProperty("ramblock").GetString()!, StringComparer.Ordinal);
}

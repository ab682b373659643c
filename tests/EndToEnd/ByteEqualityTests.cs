using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>Our file against QEMU's own mapped-ram file of the same stopped guest.</summary>
public sealed class ByteEqualityTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    private static readonly GuestRecipe Recipe = new() { MiB = 64, Boot = new SelfCheckBoot { Seed = 11, UpperMiB = 40 } };

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile, 0)]
    [InlineData(MemoryKind.Memfd, 0)]
    [InlineData(MemoryKind.Private, 0)]
    [InlineData(MemoryKind.Private, 3)]
    public async Task A_guest_that_QEMU_has_just_saved_gives_the_same_bytes_up_to_the_end_of_the_last_RAMBlock(MemoryKind memory, int nodes)
    {
        var theirs = product.Image($"{memory}-{nodes}-theirs.image");
        var ours = product.Image($"{memory}-{nodes}-ours.image");
        await using var source = await QemuProcess.StartAsync(Recipe with { Memory = memory, NumaNodes = nodes });
        await source.WaitUntilReadyAsync();
        (await QemuSave.SaveAsync(source, theirs, FileMigration.Plain)).ThrowUnlessCompleted();
        Assert.Equal("postmigrate", await source.Monitor.RunStateAsync());
        await product.SaveAsync(source, ours);
        AssertEqualUpToTail(theirs, ours);
    }

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Memfd)]
    [InlineData(MemoryKind.Private)]
    public async Task A_paused_guest_gives_the_same_bytes_and_device_state_as_a_stock_QEMU_that_loads_and_saves_it_again(MemoryKind memory)
    {
        var theirs = product.Image($"{memory}-again.image");
        var ours = product.Image($"{memory}-paused.image");

        // A real-time clock that follows the host would be at another second in the second file.
        await using var source = await QemuProcess.StartAsync(Recipe with { Memory = memory, ExtraArguments = ["-rtc", "clock=vm"] });
        await source.WaitUntilReadyAsync();
        await source.PauseAsync();
        await product.SaveAsync(source, ours);
        await using var second = await QemuProcess.StartAsync(source.Recipe.AsTarget());
        (await StockLoad.LoadAsync(second, ours, FileMigration.Plain)).ThrowUnlessCompleted();
        (await QemuSave.SaveAsync(second, theirs, FileMigration.Plain)).ThrowUnlessCompleted();
        AssertEqualUpToTail(theirs, ours);

        // Without a shared file the device state comes from xen-save-devices-state, which says "running" of every guest.
        string[] mayDiffer = memory == MemoryKind.SharedFile ? [] : ["globalstate"];
        var expected = await SectionsAsync(theirs);
        var actual = await SectionsAsync(ours);
        Assert.Equal(expected.Select(section => section.Name), actual.Select(section => section.Name));
        Assert.Equal(mayDiffer, expected.Zip(actual).Where(pair => pair.First.Content != pair.Second.Content).Select(pair => pair.First.Name));
    }

    private static void AssertEqualUpToTail(string theirs, string ours)
    {
        Assert.Equal(ImageOracle.Layout(theirs), ImageOracle.Layout(ours));
        var last = ImageOracle.Layout(theirs)[^1];
        FileComparison.AssertEqual(theirs, ours, last.PagesOffset + last.UsedLength);
    }

    // QEMU writes an empty PART of "ram" for each of its iterations, whose number is chance.
    private async Task<List<(string Name, string Content)>> SectionsAsync(string image)
    {
        var document = (await product.RunAsync("inspect", image, "--output", "json")).ExpectOk().Json;
        var tail = document.GetProperty("tail-offset").GetInt64();
        using var file = File.OpenHandle(image);
        var sections = new List<(string, string)>();
        foreach (var section in document.GetProperty("sections").EnumerateArray())
        {
            var offset = section.GetProperty("offset").GetInt64();
            if (offset < tail || section.GetProperty("kind").GetString() == "part")
                continue;
            var content = new byte[section.GetProperty("length").GetInt32()];
            Assert.Equal(content.Length, await RandomAccess.ReadAsync(file, content, offset));
            sections.Add((section.GetProperty("name").GetString()!, Convert.ToHexString(content)));
        }

        return sections;
    }
}

using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>A Linux guest that fills a tmpfs file from a disk again and again, past both page caches, so that the disk writes into its memory
/// while that is saved; and that checks what it has.</summary>
public sealed class LinuxLoadTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    private static readonly TimeSpan BootLimit = TimeSpan.FromSeconds(180);

    [RequiresQemuTheory(LabNeeds.LinuxGuest)]
    [InlineData(MemoryKind.SharedFile, "stream", 1)]
    [InlineData(MemoryKind.Memfd, "stream", 2)]
    [InlineData(MemoryKind.Private, "compare", 1)]
    public async Task Under_a_disk_load_the_image_is_its_memory_at_the_stop_and_a_stock_QEMU_runs_it_on_with_the_same_disk(MemoryKind memory, string mode, int streams)
    {
        var recipe = await WithDiskAsync(memory);
        var image = product.Image($"load-{memory}.image");
        await using var source = await QemuProcess.StartAsync(recipe);
        await source.WaitUntilReadyAsync(BootLimit);
        await Wait.UntilAsync(() => Turns(source) >= 2, "the disk is read", BootLimit, source.Describe);
        await product.SaveAsync(source, image, "--mode", mode, "--streams", $"{streams}", "--max-downtime", "2s", "--policy", "must-finish");
        GuestMemoryOracle.AssertEqual(await GuestMemoryOracle.CaptureAsync(source), ImageOracle.Capture(image));
        await source.KillAsync();
        await ExpectRunsOnAsync(recipe, image);
    }

    [RequiresQemuFact(LabNeeds.LinuxGuest)]
    public async Task Under_a_disk_load_it_runs_on_from_a_live_save_that_was_interrupted_and_resumed()
    {
        var recipe = await WithDiskAsync(MemoryKind.SharedFile);
        var image = product.Image("load-resumed.image");
        await using var source = await QemuProcess.StartAsync(recipe);
        await source.WaitUntilReadyAsync(BootLimit);
        await Wait.UntilAsync(() => Turns(source) >= 1, "the disk is read", BootLimit, source.Describe);
        var id = await product.BeginSaveAsync(source, image, "--mode", "stream", "--bwlimit", "16MiB/s", "--max-downtime", "2s", "--policy", "must-finish");
        await product.WaitForDurableAsync(id, 1 << 20);
        await product.KillSiloAsync();
        var turns = Turns(source);
        await Wait.UntilAsync(() => Turns(source) > turns, "the disk is read on", BootLimit, source.Describe);
        (await product.RunAsync("set", id, "--bwlimit", "0")).ExpectOk();
        Assert.Equal("completed", (await product.WaitForEndAsync(id)).GetProperty("phase").GetString());
        GuestMemoryOracle.AssertEqual(await GuestMemoryOracle.CaptureAsync(source), ImageOracle.Capture(image));
        await source.KillAsync();
        await ExpectRunsOnAsync(recipe, image);
    }

    /// <summary>How often the file came back from the disk.</summary>
    private static int Turns(QemuProcess guest) => guest.Serial.Text.Split("DISK").Length - 1;

    private static async Task ExpectRunsOnAsync(GuestRecipe recipe, string image)
    {
        await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
        (await StockLoad.LoadAsync(target, image, FileMigration.Multifd)).ThrowUnlessCompleted();
        await target.ContinueAsync();
        await target.WaitForStepsAsync(3);
        await Wait.UntilAsync(() => Turns(target) >= 2, "the disk is read on", BootLimit, target.Describe);
        Assert.DoesNotContain("READY", target.Serial.Text, StringComparison.Ordinal);
        Assert.Null(recipe.Boot.Fault(target.Serial.Text));
    }

    private async Task<GuestRecipe> WithDiskAsync(MemoryKind memory)
    {
        var disk = product.Image($"disk-{Guid.NewGuid():N}.raw");
        await File.WriteAllBytesAsync(disk, new byte[32 << 20]);
        return new GuestRecipe
        {
            Memory = memory,
            MiB = 256,
            VCpus = 2,
            Boot = new LinuxBoot { FileMiB = 16, LoadsDisk = true },
            ExtraArguments = ["-drive", $"if=none,id=data,format=raw,cache=none,file={disk}", "-device", "virtio-blk-pci,id=disk0,drive=data"],
        };
    }
}

using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>A guest whose disk only one QEMU may have open for writing.</summary>
public sealed class WritableDiskTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    [RequiresQemuTheory(LabNeeds.LinuxGuest)]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Private)]
    public async Task It_runs_on_in_another_QEMU_with_the_same_disk_once_its_own_has_quit(MemoryKind memory)
    {
        var recipe = await WithDiskAsync(memory);
        var image = product.Image($"{memory}.image");
        await using var source = await QemuProcess.StartAsync(recipe);
        await source.WaitUntilReadyAsync(TimeSpan.FromSeconds(120));
        await product.SaveAsync(source, image, "--then", "quit");
        Assert.Equal(0, await source.WaitForExitAsync());
        await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
        await product.RestoreAsync(image, target);
        await target.WaitForStepsAsync();
    }

    [RequiresQemuFact(LabNeeds.LinuxGuest)]
    public async Task Beside_its_paused_source_that_has_given_the_disk_up_it_runs_on()
    {
        var recipe = await WithDiskAsync(MemoryKind.SharedFile);
        var image = product.Image("given-up.image");
        await using var source = await QemuProcess.StartAsync(recipe);
        await source.WaitUntilReadyAsync(TimeSpan.FromSeconds(120));
        await product.SaveAsync(source, image);
        await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
        await product.RestoreAsync(image, target);
        await target.WaitForStepsAsync();
        Assert.Equal("postmigrate", await source.Monitor.RunStateAsync());
    }

    [RequiresQemuFact(LabNeeds.LinuxGuest)]
    public async Task Beside_its_paused_source_that_holds_the_disk_it_waits_paused_and_the_command_says_what_to_do()
    {
        var recipe = await WithDiskAsync(MemoryKind.Private);
        var image = product.Image("held.image");
        await using var source = await QemuProcess.StartAsync(recipe);
        await source.WaitUntilReadyAsync(TimeSpan.FromSeconds(120));
        await product.SaveAsync(source, image);
        await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
        var failed = (await product.TryRestoreAsync(image, target)).ExpectExit(1);
        Assert.Contains("\"write\" lock", failed.ErrorOutput, StringComparison.Ordinal);
        Assert.Contains("send QMP 'cont'", failed.ErrorOutput, StringComparison.Ordinal);
        Assert.Equal("paused", failed.Json.GetProperty("guest-state").GetString());
        Assert.Equal("paused", await target.Monitor.RunStateAsync());
        Assert.Equal("paused", await source.Monitor.RunStateAsync());

        // What it says helps.
        await source.KillAsync();
        await target.ContinueAsync();
        await target.WaitForStepsAsync();
    }

    private async Task<GuestRecipe> WithDiskAsync(MemoryKind memory)
    {
        var disk = product.Image($"disk-{Guid.NewGuid():N}.raw");
        await File.WriteAllBytesAsync(disk, new byte[1 << 20]);
        return new GuestRecipe
        {
            Memory = memory,
            MiB = 160,
            Boot = new LinuxBoot { FileMiB = 8 },
            ExtraArguments = ["-drive", $"if=none,id=data,format=raw,file={disk}", "-device", "virtio-blk-pci,id=disk0,drive=data"],
        };
    }
}

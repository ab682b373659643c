using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>A Debian kernel that prints the checksum of a tmpfs file for ever.</summary>
public sealed class LinuxGuestTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    [RequiresQemuTheory(LabNeeds.LinuxGuest)]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Memfd)]
    [InlineData(MemoryKind.Private)]
    public async Task A_running_guest_is_saved_and_a_stock_QEMU_loads_it_in_each_way_and_its_tmpfs_is_whole(MemoryKind memory)
    {
        var recipe = new GuestRecipe { Memory = memory, MiB = 256, Boot = new LinuxBoot { FileMiB = 16 } };
        var image = product.Image($"{memory}.image");
        MemorySnapshot atStop;
        (string Sum, int Counter) before;
        await using (var source = await QemuProcess.StartAsync(recipe))
        {
            await source.WaitUntilReadyAsync(TimeSpan.FromSeconds(120));
            await source.WaitForStepsAsync(1);
            await product.SaveAsync(source, image);
            atStop = await GuestMemoryOracle.CaptureAsync(source);
            before = LinuxBoot.Newest(source.Serial.Text)!.Value;
        }

        GuestMemoryOracle.AssertEqual(atStop, ImageOracle.Capture(image));
        foreach (var way in new[] { FileMigration.Plain, FileMigration.Multifd, FileMigration.MultifdDirect })
        {
            await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
            (await StockLoad.LoadAsync(target, image, way)).ThrowUnlessCompleted();
            GuestMemoryOracle.AssertEqual(atStop, await GuestMemoryOracle.CaptureAsync(target));
            await target.ContinueAsync();
            await target.WaitForStepsAsync(2);
            var after = LinuxBoot.Newest(target.Serial.Text)!.Value;
            Assert.Equal(before.Sum, after.Sum);
            Assert.True(after.Counter > before.Counter, $"The counter was {before.Counter} and is {after.Counter}.");
            Assert.DoesNotContain("READY", target.Serial.Text, StringComparison.Ordinal);
        }
    }
}

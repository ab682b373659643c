using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>A guest's way into an image of ours and on in a stock QEMU, with its memory the same at every station.</summary>
internal static class RoundTrip
{
    private static readonly TimeSpan BootLimit = TimeSpan.FromSeconds(120);

    /// <summary>Saves a running guest, ends its QEMU, and lets a stock QEMU load the image and run the guest on, in each way of loading.</summary>
    /// <param name="product">Saves it.</param>
    /// <param name="recipe">The guest.</param>
    /// <param name="steps">How many checks of its own memory the guest completes before the save, and again after each load.</param>
    /// <param name="check">Judges what the guest printed before the save, and after a load.</param>
    /// <param name="options">Further options of the save.</param>
    /// <returns>The guest's memory.</returns>
    public static async Task<MemorySnapshot> RunAsync(
        ProductUnderTest product, GuestRecipe recipe, int steps, Action<string, string> check, params string[] options)
    {
        var image = product.Image($"{recipe.Memory}{string.Concat(options)}.image");
        MemorySnapshot atStop;
        string before;
        await using (var source = await QemuProcess.StartAsync(recipe))
        {
            await source.WaitUntilReadyAsync(BootLimit);
            await source.WaitForStepsAsync(steps);
            Assert.Equal("running", await source.Monitor.RunStateAsync());
            await product.SaveAsync(source, image, options);
            atStop = await GuestMemoryOracle.CaptureAsync(source);
            before = source.Serial.Text;
        }

        GuestMemoryOracle.AssertEqual(atStop, ImageOracle.Capture(image));
        foreach (var way in new[] { FileMigration.Plain, FileMigration.Multifd, FileMigration.MultifdDirect })
        {
            await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
            (await StockLoad.LoadAsync(target, image, way)).ThrowUnlessCompleted();
            GuestMemoryOracle.AssertEqual(atStop, await GuestMemoryOracle.CaptureAsync(target));
            await target.ContinueAsync();
            await target.WaitForStepsAsync(steps);
            check(before, target.Serial.Text);
        }

        return atStop;
    }
}

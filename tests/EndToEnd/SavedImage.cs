using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>An image of a guest whose QEMU has ended, saved once for a whole class of tests.</summary>
public sealed class SavedImage : IAsyncLifetime
{
    private int _copies;

    /// <summary>The product that saved it.</summary>
    public ProductUnderTest Product { get; } = new();

    /// <summary>The guest's recipe.</summary>
    public GuestRecipe Recipe => new()
    {
        BootFolder = Product.StorageRoot,
        MiB = 32,
        VCpus = 2,
        Boot = new SelfCheckBoot { Seed = 9, UpperMiB = 24 },
        ExtraArguments = ["-device", "virtio-rng-pci,id=rng0"],
    };

    /// <summary>The guest's memory at the time of the save.</summary>
    public MemorySnapshot Memory { get; private set; } = null!;

    private string Original => Product.Image("original.image");

    /// <summary>A copy of the image with its manifest, and without any claim on it.</summary>
    public string Copy()
    {
        var copy = Product.Image($"copy{++_copies}.image");
        File.Copy(Original, copy);
        File.Copy(Original + ".manifest.json", copy + ".manifest.json");
        return copy;
    }

    /// <inheritdoc/>
    public async Task InitializeAsync()
    {
        if (LabPrograms.Missing(Recipe.Boot.Needs) is not null)
            return;
        await using var source = await QemuProcess.StartAsync(Recipe);
        await source.WaitUntilReadyAsync();
        await Product.SaveAsync(source, Original, "--then", "quit");
        await source.WaitForExitAsync();
        Memory = ImageOracle.Capture(Original);
    }

    /// <inheritdoc/>
    public async Task DisposeAsync() => await Product.DisposeAsync();
}

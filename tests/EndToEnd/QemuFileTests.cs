using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>Files that QEMU itself wrote.</summary>
public sealed class QemuFileTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    public static TheoryData<string> GuestNames => [.. Guests.Keys];

    private static Dictionary<string, Func<GuestRecipe>> Guests { get; } = new()
    {
        ["q35 with network and serial devices"] = () => new()
        {
            MiB = 32,
            Boot = new SelfCheckBoot { UpperMiB = 20, Seed = 3 },
            ExtraArguments =
            [
                "-netdev", "hubport,id=net0,hubid=0", "-device", "virtio-net-pci,id=nic0,netdev=net0",
                "-device", "virtio-serial-pci,id=bus0", "-device", "pci-serial,id=serial1,chardev=extra", "-chardev", "null,id=extra",
            ],
        },
        ["pc with private memory"] = () => new()
        {
            // The machine has a floppy controller of its own, which leaves the self-checking guest without its disk.
            Boot = new LinuxBoot { FileMiB = 8 },
            MiB = 160,
            Memory = MemoryKind.Private,
            Machine = LabPrograms.NewestMachine.Replace("q35", "i440fx", StringComparison.Ordinal),
        },
        ["q35 with two NUMA nodes"] = () => new() { MiB = 32, Memory = MemoryKind.Memfd, NumaNodes = 2 },
    };

    [RequiresQemuTheory(LabNeeds.BothGuests)]
    [MemberData(nameof(GuestNames))]
    public async Task A_file_that_QEMU_wrote_passes_verify_and_inspect_shows_its_true_layout(string guest)
    {
        await using var source = await QemuProcess.StartAsync(Guests[guest]());
        await source.WaitUntilReadyAsync(TimeSpan.FromSeconds(120));
        foreach (var way in new[] { FileMigration.Plain, FileMigration.Multifd, FileMigration.MultifdDirect })
        {
            var image = product.Image("qemu.image");
            (await QemuSave.SaveAsync(source, image, way)).ThrowUnlessCompleted();
            await CheckAsync(source, image);
            await source.ContinueAsync();
            await source.WaitForStepsAsync(1);
        }
    }

    private async Task CheckAsync(QemuProcess source, string image)
    {
        var verdict = (await product.RunAsync("verify", image, "--output", "json")).ExpectOk().Json;
        Assert.True(verdict.GetProperty("ok").GetBoolean());
        Assert.Equal(0, verdict.GetProperty("violations").GetArrayLength());

        var layout = ImageOracle.Layout(image);
        var document = (await product.RunAsync("inspect", image, "--output", "json")).ExpectOk().Json;
        Assert.Equal(new FileInfo(image).Length, document.GetProperty("length").GetInt64());
        Assert.Equal(source.Recipe.Machine ?? LabPrograms.NewestMachine, document.GetProperty("machine").GetString());
        Assert.Equal(["mapped-ram"], document.GetProperty("capabilities").EnumerateArray().Select(capability => capability.GetString()));
        Assert.Equal(
            layout.Select(block => (block, ImageOracle.PagesPresent(image, block.Name).Count)),
            document.GetProperty("blocks").EnumerateArray().Select(block => (
                new ImageOracle.Block(
                    block.GetProperty("ramblock").GetString()!,
                    block.GetProperty("used-length").GetInt64(),
                    block.GetProperty("bitmap-offset").GetInt64(),
                    block.GetProperty("pages-offset").GetInt64()),
                block.GetProperty("pages-present").GetInt32())));
        Assert.Equal((await RamBlock.ListAsync(source)).Select(block => block.Name), layout.Select(block => block.Name));
        Assert.Equal(layout[^1].PagesOffset + layout[^1].UsedLength, document.GetProperty("tail-offset").GetInt64());
        var devices = document.GetProperty("sections").EnumerateArray().Select(section => section.GetProperty("name").GetString()).ToList();
        Assert.Contains("ram", devices);
        Assert.Contains("cpu", devices);
    }
}

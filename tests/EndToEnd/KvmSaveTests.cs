using System.Globalization;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>Guests with KVM, whose dirty log has every write, so that nothing is compared in the end.</summary>
public sealed class KvmSaveTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    private const LabNeeds Needs = LabNeeds.SelfCheckGuest | LabNeeds.Kvm;
    private static readonly int Saves = LabPrograms.IsFull ? 12 : 3;

    /// <summary>A KVM inside a virtual machine may take seconds for the firmware alone.</summary>
    private static readonly TimeSpan BootLimit = TimeSpan.FromSeconds(120);

    [RequiresQemuTheory(Needs)]
    [InlineData(MemoryKind.SharedFile, 0, 1)]
    [InlineData(MemoryKind.Memfd, 0, 2)]
    [InlineData(MemoryKind.Private, 16, 1)]
    [InlineData(MemoryKind.SharedFile, 16, 2)]
    public async Task What_the_guest_held_when_it_was_stopped_is_in_the_image_and_a_stock_QEMU_runs_it_on(MemoryKind memory, int nodes, int streams)
    {
        var recipe = Recipe(memory, nodes);
        await using var source = await StartAsync(recipe);
        var image = "";
        for (var i = 0; i < Saves; i++)
        {
            image = product.Image(string.Create(CultureInfo.InvariantCulture, $"kvm-{memory}-{nodes}-{streams}-{i}.image"));
            await source.ContinueAsync();
            await source.WaitForStepsAsync(2);
            var saved = await product.SaveAsync(
                source, image, "--mode", "stream", "--streams", $"{streams}", "--max-downtime", "1s", "--policy", "must-finish");
            Assert.DoesNotContain("compare", saved.GetProperty("downtime-parts").EnumerateArray().Select(part => part.GetProperty("name").GetString()));
            GuestMemoryOracle.AssertEqual(await GuestMemoryOracle.CaptureAsync(source), ImageOracle.Capture(image));
        }

        (await product.RunAsync("verify", image, "--deep")).ExpectOk();
        await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
        (await StockLoad.LoadAsync(target, image, FileMigration.Multifd)).ThrowUnlessCompleted();
        await target.ContinueAsync();
        await target.WaitForStepsAsync(2);
        Assert.DoesNotContain("START", target.Serial.Text, StringComparison.Ordinal);
    }

    [RequiresQemuFact(Needs)]
    public async Task A_snapshot_is_of_one_moment_and_the_guest_runs_on()
    {
        var recipe = Recipe(MemoryKind.Memfd, nodes: 0);
        await using var source = await StartAsync(recipe);
        var image = product.Image("kvm-snapshot.image");
        await product.SaveAsync(source, image, "--mode", "snapshot");
        await source.WaitForStepsAsync(2);
        await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
        (await StockLoad.LoadAsync(target, image, FileMigration.Plain)).ThrowUnlessCompleted();
        await target.ContinueAsync();
        await target.WaitForStepsAsync(2);
    }

    /// <summary>In several RAMBlocks it is a guest whose stream QEMU without KVM would not survive.</summary>
    private static GuestRecipe Recipe(MemoryKind memory, int nodes) => new()
    {
        Kvm = true,
        Memory = memory,
        MiB = nodes == 0 ? 64 : 40,
        NumaNodes = nodes,
        Boot = new SelfCheckBoot { AtFullSpeed = true, UpperMiB = 24 },
    };

    private static async Task<QemuProcess> StartAsync(GuestRecipe recipe)
    {
        var guest = await QemuProcess.StartAsync(recipe);
        await guest.WaitUntilReadyAsync(BootLimit);
        return guest;
    }
}

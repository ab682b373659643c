using DistMigrate.Tests.EndToEnd.Faults;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>Many live saves of guests that rewrite and check their memory all the time.</summary>
public sealed class LiveMatrixTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    private const int Saves = 54;
    private const int SavesPerGuest = 3;
    private const int FewGuests = 1;

    [RequiresQemuFact]
    public async Task Whatever_guest_is_saved_live_its_image_is_its_memory_at_the_stop_and_it_never_complains()
    {
        var random = FaultSeed.For(17);
        var guests = Enumerable.Range(0, Saves / SavesPerGuest).Select(i => Choose(random, i)).ToList();
        List<string> table = [];
        foreach (var (recipe, number) in FaultSeed.Sample([.. guests.Select((recipe, i) => (recipe, i))], FewGuests, salt: 18))
            await SaveAsync(recipe, number, new Random(random.Next()), table);
        Assert.NotEmpty(table);
    }

    private static GuestRecipe Choose(Random random, int number)
    {
        var nodes = random.Next(3) switch { 0 => 0, 1 => 2, _ => 16 };
        var mib = random.Next(3) switch { 0 => 40, 1 => 64, _ => 96 };
        return new GuestRecipe
        {
            Memory = (MemoryKind)(number % 3),
            MiB = mib,
            NumaNodes = nodes,
            VCpus = nodes == 0 ? 1 : 2,
            Boot = new SelfCheckBoot { AtFullSpeed = true, Seed = (uint)random.Next(2) * 77, UpperMiB = random.Next(2) == 0 ? mib - 2 : 12 },
        };
    }

    private async Task SaveAsync(GuestRecipe recipe, int number, Random random, List<string> table)
    {
        await using var guest = await QemuProcess.StartAsync(recipe);
        await guest.WaitUntilReadyAsync(TimeSpan.FromSeconds(120));
        for (var i = 0; i < SavesPerGuest; i++)
        {
            var mode = random.Next(2) == 0 ? "stream" : "compare";
            var image = product.Image($"matrix-{number}-{i}.image");
            var what = $"guest {number}, save {i}: {recipe.Memory}, {recipe.NumaNodes} nodes, {recipe.MiB} MiB, {mode} (SEED={FaultSeed.Value})";
            string[] options = random.Next(2) == 0 ? ["--max-downtime", "500ms", "--policy", "must-finish"] : ["--at-most", "3", "--max-downtime", "5s"];
            await product.SaveAsync(guest, image, ["--mode", mode, "--streams", random.Next(2) == 0 ? "1" : "2", .. options]);
            var difference = (await GuestMemoryOracle.CaptureAsync(guest)).DifferenceTo(ImageOracle.Capture(image));
            Assert.True(difference is null, $"{what}: {difference}");
            (await product.RunAsync("verify", image, "--deep")).ExpectOk();
            await guest.ContinueAsync();
            await guest.WaitForStepsAsync(3);
            table.Add(what);
            foreach (var file in Directory.GetFiles(product.StorageRoot, Path.GetFileName(image) + "*"))
                File.Delete(file);
        }
    }
}

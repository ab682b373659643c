using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>
/// <c>save --force</c> into an image that exists, when a call fails of those that replace it: at every moment the old image stands
/// there with its manifest and checksums, or the new one with its own.
/// </summary>
public sealed class ReplacedImageTests(FaultBench bench) : IClassFixture<FaultBench>, IAsyncLifetime
{
    /// <summary>Which call, on which file or folder, and from which one on in each thread it fails.</summary>
    public static TheoryData<string, string, int> Calls => new()
    {
        { "fsync", "", 1 },
        { "fsync", "", 2 },
        { "renameat,renameat2", ".partial", 1 },
        { "renameat,renameat2", ".partial.manifest.json", 1 },
        { "renameat,renameat2", ".partial.checksums", 1 },
        { "renameat,renameat2", ".manifest.json", 1 },
        { "renameat,renameat2", ".checksums", 1 },
        { "link,linkat", ".img", 1 },
    };

    public Task InitializeAsync() => bench.ResetAsync();

    public Task DisposeAsync() => Task.CompletedTask;

    [RequiresFaultsTheory(FaultNeeds.Strace)]
    [MemberData(nameof(Calls))]
    public async Task The_old_image_stands_as_long_as_the_storage_fails_and_the_new_one_takes_its_place_whole(string call, string file, int number)
    {
        var guest = await bench.GuestAsync();
        var image = bench.Product.Image("kept.img");
        (await bench.SaveAsync(image)).ExpectOk();
        await guest.ContinueAsync();
        var old = ImageOracle.Capture(image);
        var oldManifest = await File.ReadAllTextAsync(image + ".manifest.json");
        var oldChecksums = await File.ReadAllBytesAsync(image + ".checksums");

        string id;
        var phase = "";
        await using (var strace = await Strace.AttachAsync(bench.Product.SiloPid, [Place(image, file)], call, $"{call}:error=EIO:when={number}+"))
        {
            id = await bench.SubmitAsync(guest, image, "1GiB/s", options: "--force");
            phase = (await bench.WaitForPhaseAsync(id, now => now is "paused" or "completed" or "failed", "the save is paused or has ended")).GetProperty("phase").GetString()!;
            Assert.True(strace.HasInjected, "No call failed.");
            if (phase != "completed")
            {
                await guest.WaitForStepsAsync(2);
                Assert.Equal(oldManifest, await File.ReadAllTextAsync(image + ".manifest.json"));
                Assert.Equal(oldChecksums, await File.ReadAllBytesAsync(image + ".checksums"));
                GuestMemoryOracle.AssertEqual(old, ImageOracle.Capture(image));
                (await bench.Product.RunAsync("verify", image, "--deep")).ExpectOk();
            }
        }

        if (phase == "failed")
        {
            // Nothing had been written of the new one.
            Assert.Empty(FaultBench.Unfinished(image));
            await bench.ExpectWholeAsync(image);
            await bench.RemoveAsync(image);
            return;
        }

        await bench.WaitForPhaseAsync(id, "completed");
        Assert.NotEqual(oldManifest, await File.ReadAllTextAsync(image + ".manifest.json"));
        await bench.CompleteAsync(id, image);
    }

    [RequiresFaultsTheory(FaultNeeds.Strace)]
    [MemberData(nameof(Calls))]
    public async Task When_the_silo_dies_the_old_image_stands_or_the_new_one_and_the_next_silo_completes_the_save(string call, string file, int number)
    {
        var guest = await bench.GuestAsync();
        var image = bench.Product.Image("kept.img");
        (await bench.SaveAsync(image)).ExpectOk();
        await guest.ContinueAsync();
        var old = ImageOracle.Capture(image);
        var silo = bench.Product.SiloPid;
        string id;
        await using (await Strace.AttachAsync(silo, [Place(image, file)], call, $"{call}:signal=KILL:when={number}"))
        {
            id = await bench.SubmitAsync(guest, image, "1GiB/s", options: "--force");
            await Wait.UntilAsync(() => !ProcessState.IsAlive(silo), "the silo is killed", details: () => bench.Product.SiloLog);
        }

        var now = ImageOracle.Capture(image);
        if (old.DifferenceTo(now) is not null)
            GuestMemoryOracle.AssertEqual(await GuestMemoryOracle.CaptureAsync(guest), now);
        (await bench.Product.RunAsync("verify", image)).ExpectOk();
        await bench.CompleteAsync(id, image);
    }

    private string Place(string image, string file) => file.Length == 0 ? bench.Images : file == ".img" ? image : image + file;
}

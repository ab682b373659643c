using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>A guest runs on while what it held at one moment is written. The guest rewrites and checks all of its memory, so that an image
/// with pages of two moments would make it complain.</summary>
public sealed class SnapshotTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    private static readonly GuestRecipe Recipe = new() { MiB = 64, Boot = new SelfCheckBoot { AtFullSpeed = true, Seed = 7, UpperMiB = 62 } };

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile, 0)]
    [InlineData(MemoryKind.Memfd, 2)]
    [InlineData(MemoryKind.Private, 16)]
    public async Task The_guest_runs_on_and_a_stock_QEMU_runs_what_it_was(MemoryKind memory, int nodes)
    {
        var recipe = Recipe with { Memory = memory, NumaNodes = nodes, VCpus = Math.Max(1, Math.Min(nodes, 2)) };
        var image = product.Image($"snapshot-{memory}.image");
        await using var source = await QemuProcess.StartAsync(recipe);
        await source.WaitUntilReadyAsync(TimeSpan.FromSeconds(120));
        await source.WaitForStepsAsync(3);
        var saved = await product.SaveAsync(source, image, "--mode", "snapshot");
        Assert.Equal("running", await source.Monitor.RunStateAsync());
        Assert.Equal(["snapshot"], saved.GetProperty("downtime-parts").EnumerateArray().Select(part => part.GetProperty("name").GetString()));
        await source.WaitForStepsAsync(3);
        await ExpectSettingsAsync(source);

        (await product.RunAsync("verify", image, "--deep")).ExpectOk();
        foreach (var way in new[] { FileMigration.Plain, FileMigration.MultifdDirect })
            await ExpectRunsFromAsync(recipe, image, way);
    }

    [RequiresQemuFact]
    public async Task A_snapshot_that_is_cancelled_leaves_a_running_guest_and_no_file()
    {
        var image = product.Image("cancelled-snapshot.image");
        await using var source = await StartAsync();
        var id = await BeginSlowAsync(source, image);
        (await product.RunAsync("cancel", id)).ExpectExit(0);
        Assert.Equal("cancelled", (await product.WaitForEndAsync(id)).GetProperty("phase").GetString());
        await ExpectUntouchedAsync(source);
        Assert.Empty(Directory.EnumerateFiles(product.StorageRoot, Path.GetFileName(image) + "*"));
    }

    [RequiresQemuFact]
    public async Task A_snapshot_that_is_paused_frees_the_guest_at_once_and_the_next_one_writes_what_has_changed()
    {
        // Pages that stay as they are need not be written again.
        var recipe = Recipe with { Boot = new SelfCheckBoot { AtFullSpeed = true, Seed = 7, UpperMiB = 16 } };
        var image = product.Image("paused-snapshot.image");
        await using var source = await QemuProcess.StartAsync(recipe);
        await source.WaitUntilReadyAsync();
        var id = await BeginSlowAsync(source, image);
        (await product.RunAsync("pause", id)).ExpectOk();
        Assert.Equal("paused", (await product.StatusAsync(id)).GetProperty("phase").GetString());
        await ExpectUntouchedAsync(source);
        (await product.RunAsync("set", id, "--bwlimit", "0")).ExpectOk();
        (await product.RunAsync("resume", id, "--detach")).ExpectOk();
        Assert.Equal("completed", (await product.WaitForEndAsync(id)).GetProperty("phase").GetString());
        await ExpectUntouchedAsync(source);
        (await product.RunAsync("verify", image, "--deep")).ExpectOk();
        await ExpectRunsFromAsync(recipe, image, FileMigration.Multifd);
    }

    [RequiresQemuFact]
    public async Task A_silo_that_is_killed_frees_the_guest_and_the_next_one_completes_the_save()
    {
        var image = product.Image("killed-snapshot.image");
        await using var source = await StartAsync();
        var id = await BeginSlowAsync(source, image);
        await product.KillSiloAsync();
        await source.WaitForStepsAsync(3);

        // Any command starts a silo, which takes the migration up by itself.
        (await product.RunAsync("set", id, "--bwlimit", "0")).ExpectOk();
        Assert.Equal("completed", (await product.WaitForEndAsync(id)).GetProperty("phase").GetString());
        await ExpectUntouchedAsync(source);
        (await product.RunAsync("verify", image, "--deep")).ExpectOk();
        await ExpectRunsFromAsync(Recipe, image, FileMigration.Plain);
    }

    [RequiresQemuFact]
    public async Task A_guest_that_is_paused_is_saved_as_it_is()
    {
        var image = product.Image("still.image");
        await using var source = await StartAsync();
        await source.Monitor.ExecuteAsync("stop");
        await product.SaveAsync(source, image, "--mode", "snapshot");
        Assert.NotEqual("running", await source.Monitor.RunStateAsync());
        GuestMemoryOracle.AssertEqual(await GuestMemoryOracle.CaptureAsync(source), ImageOracle.Capture(image));
    }

    [RequiresQemuFact]
    public async Task A_guest_of_which_QEMU_takes_no_snapshot_is_refused_in_its_words()
    {
        // Shared memory in a file of a disk's file system: userfaultfd does not protect it.
        var image = product.Image("refused.image");
        await using var source = await QemuProcess.StartAsync(Recipe with { MemoryFolder = product.StorageRoot });
        await source.WaitUntilReadyAsync();
        var refused = await product.TrySaveAsync(source, image, "--mode", "snapshot");
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("not compatible with guest memory configuration", refused.ErrorOutput, StringComparison.Ordinal);
        await ExpectUntouchedAsync(source);
        Assert.Empty(Directory.EnumerateFiles(product.StorageRoot, Path.GetFileName(image) + "*"));
    }

    [RequiresQemuTheory]
    [InlineData("pause")]
    [InlineData("quit")]
    public async Task The_guest_of_a_snapshot_runs_on_and_nothing_else(string then)
    {
        await using var source = await StartAsync();
        var refused = (await product.TrySaveAsync(source, product.Image("then.image"), "--mode", "snapshot", "--then", then)).ExpectExit(2);
        Assert.Contains("--then run", refused.ErrorOutput, StringComparison.Ordinal);
    }

    private static async Task<QemuProcess> StartAsync()
    {
        var guest = await QemuProcess.StartAsync(Recipe);
        await guest.WaitUntilReadyAsync();
        return guest;
    }

    private async Task<string> BeginSlowAsync(QemuProcess source, string image)
    {
        var id = await product.BeginSaveAsync(source, image, "--mode", "snapshot", "--bwlimit", "512KiB/s");
        await product.WaitForDurableAsync(id, 1 << 20);
        return id;
    }

    private static async Task ExpectUntouchedAsync(QemuProcess source)
    {
        Assert.Equal("running", await source.Monitor.RunStateAsync());
        await source.WaitForStepsAsync(3);
        await ExpectSettingsAsync(source);
    }

    private static async Task ExpectSettingsAsync(QemuProcess source)
    {
        var capabilities = await source.Monitor.ExecuteAsync("query-migrate-capabilities");
        Assert.DoesNotContain(
            capabilities.EnumerateArray(), item => item.GetProperty("capability").GetString() == "background-snapshot" && item.GetProperty("state").GetBoolean());
    }

    /// <summary>The guest goes on where it was, without starting anew, and finds its memory as it left it.</summary>
    private static async Task ExpectRunsFromAsync(GuestRecipe recipe, string image, FileMigration way)
    {
        await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
        (await StockLoad.LoadAsync(target, image, way)).ThrowUnlessCompleted();
        await target.ContinueAsync();
        await target.WaitForStepsAsync(3);
        Assert.DoesNotContain("START", target.Serial.Text, StringComparison.Ordinal);
    }
}

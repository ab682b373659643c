using System.Text.Json.Nodes;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>A guest runs while its pages are written.</summary>
public sealed class LiveSaveTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    // It rewrites 48 of its 64 MiB all the time, so that there is always something left to be written.
    private static readonly GuestRecipe Recipe = new() { MiB = 64, Boot = new SelfCheckBoot { AtFullSpeed = true, Seed = 7, UpperMiB = 48 } };

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile, "stream")]
    [InlineData(MemoryKind.SharedFile, "compare")]
    [InlineData(MemoryKind.Memfd, "stream")]
    [InlineData(MemoryKind.Memfd, "compare")]
    [InlineData(MemoryKind.Private, "stream")]
    [InlineData(MemoryKind.Private, "compare")]
    public async Task What_the_guest_held_when_it_was_stopped_is_in_the_image_and_a_stock_QEMU_runs_it_on(MemoryKind memory, string mode)
    {
        await RoundTrip.RunAsync(
            product, Recipe with { Memory = memory }, steps: 3,
            (_, after) => Assert.DoesNotContain("START", after, StringComparison.Ordinal),
            "--mode", mode, "--max-downtime", "2s");
    }

    [RequiresQemuTheory]
    [InlineData("stream")]
    [InlineData("compare")]
    public async Task A_live_save_that_is_cancelled_leaves_a_running_guest_and_no_file(string mode)
    {
        var image = product.Image($"cancelled-{mode}.image");
        await using var source = await StartAsync();
        var id = await BeginSlowAsync(source, image, mode);
        Assert.Equal("running", await source.Monitor.RunStateAsync());
        await product.RunAsync("cancel", id);
        Assert.Equal("cancelled", (await product.WaitForEndAsync(id)).GetProperty("phase").GetString());
        await ExpectUntouchedAsync(source);
        Assert.Empty(Directory.EnumerateFiles(product.StorageRoot, Path.GetFileName(image) + "*"));
    }

    [RequiresQemuTheory]
    [InlineData("stream")]
    [InlineData("compare")]
    public async Task A_live_save_that_is_paused_lets_the_guest_run_and_goes_on_with_what_is_durable(string mode)
    {
        var image = product.Image($"paused-{mode}.image");
        await using var source = await StartAsync();
        var id = await BeginSlowAsync(source, image, mode);
        (await product.RunAsync("pause", id)).ExpectOk();
        await ExpectUntouchedAsync(source);
        (await product.RunAsync("resume", id, "--detach")).ExpectOk();
        (await product.RunAsync("complete", id)).ExpectOk();
        await ExpectGoodAsync(source, image);
    }

    [RequiresQemuTheory]
    [InlineData("stream")]
    [InlineData("compare")]
    public async Task A_guest_that_changes_too_much_is_not_stopped_before_the_operator_says_so(string mode)
    {
        var image = product.Image($"complete-{mode}.image");
        await using var source = await StartAsync();
        var id = await product.BeginSaveAsync(
            source, image, "--mode", mode, "--max-downtime", "1ms", "--policy", "minimal-downtime", "--bwlimit", "24MiB/s");
        await product.WaitForStatusAsync(
            id,
            status => status.TryGetProperty("live", out var live) && live.ValueKind == System.Text.Json.JsonValueKind.Object && live.GetProperty("iteration").GetInt32() >= 2,
            "a second iteration");
        Assert.Equal("running", await source.Monitor.RunStateAsync());
        (await product.RunAsync("complete", id)).ExpectOk();
        Assert.NotEqual("running", await source.Monitor.RunStateAsync());
        await ExpectGoodAsync(source, image);
    }

    [RequiresQemuFact]
    public async Task A_guest_that_must_be_saved_is_slowed_down_until_it_is()
    {
        var image = product.Image("slowed.image");
        await using var source = await StartAsync();
        var id = await product.BeginSaveAsync(source, image, "--mode", "stream", "--max-downtime", "100ms", "--policy", "must-finish", "--bwlimit", "24MiB/s");
        await product.WaitForStatusAsync(
            id,
            status => status.TryGetProperty("live", out var live) && live.ValueKind == System.Text.Json.JsonValueKind.Object && live.GetProperty("throttle").GetInt32() > 0,
            "its CPUs are held back");
        (await product.RunAsync("complete", id)).ExpectOk();
        await ExpectGoodAsync(source, image);
    }

    [RequiresQemuTheory]
    [InlineData("1")]
    [InlineData("2")]
    public async Task A_guest_that_would_stand_still_for_too_long_runs_on_and_the_save_says_so_in_the_end(string streams)
    {
        // Quiet enough for QEMU to stop it at once; nothing is published within a millisecond.
        var image = product.Image($"called-off-{streams}.image");
        await using var source = await QemuProcess.StartAsync(Recipe with { Boot = new SelfCheckBoot { AtFullSpeed = true, Seed = 7, UpperMiB = 2 } });
        await source.WaitUntilReadyAsync();
        var failed = (await product.TrySaveAsync(source, image, "--mode", "stream", "--streams", streams, "--max-downtime", "1ms", "--policy", "minimal-downtime")).ExpectExit(11);
        Assert.Contains("--max-downtime", failed.ErrorOutput, StringComparison.Ordinal);
        await ExpectUntouchedAsync(source);
        Assert.Empty(Directory.EnumerateFiles(product.StorageRoot, Path.GetFileName(image) + "*"));
        await product.SaveAsync(source, image, "--mode", "stream", "--streams", streams, "--max-downtime", "1ms", "--policy", "must-finish");
        await ExpectGoodAsync(source, image);
    }

    [RequiresQemuTheory]
    [InlineData("stopped")]
    [InlineData("stream")]
    public async Task A_limit_that_is_lifted_while_a_save_runs_lets_it_end(string mode)
    {
        var image = product.Image($"lifted-{mode}.image");
        await using var source = await StartAsync();

        // Minutes at this rate.
        var id = await product.BeginSaveAsync(source, image, "--mode", mode, "--bwlimit", "128KiB/s", "--max-downtime", "5s", "--policy", "must-finish");
        await product.WaitUntilWritingAsync(id);
        (await product.RunAsync("set", id)).ExpectExit(2);
        (await product.RunAsync("set", id, "--bwlimit", "1KiB/s")).ExpectExit(2);
        (await product.RunAsync("set", id, "--bwlimit", "0")).ExpectOk();
        Assert.Equal("completed", (await product.WaitForEndAsync(id)).GetProperty("phase").GetString());
        await ExpectGoodAsync(source, image);
        Assert.Contains("no rate to limit", (await product.RunAsync("set", id, "--bwlimit", "1G")).ErrorOutput, StringComparison.Ordinal);
    }

    /// <summary>Under TCG QEMU's log of a guest with many RAMBlocks, of which two are rewritten, lacked all of one of them in one save of three.</summary>
    [RequiresQemuFact]
    public async Task What_the_dirty_log_of_QEMU_lacks_is_in_the_image_all_the_same()
    {
        await using var source = await QemuProcess.StartAsync(new GuestRecipe
        {
            MiB = 96,
            NumaNodes = 16,
            VCpus = 2,
            Boot = new SelfCheckBoot { AtFullSpeed = true, Seed = 77, UpperMiB = 12 },
        });
        await source.WaitUntilReadyAsync(TimeSpan.FromSeconds(120));
        for (var i = 0; i < 5; i++)
        {
            var image = product.Image($"logged-{i}.image");
            var saved = await product.SaveAsync(source, image, "--mode", "stream", "--max-downtime", "500ms", "--policy", "must-finish");
            Assert.Contains("compare", saved.GetProperty("downtime-parts").EnumerateArray().Select(part => part.GetProperty("name").GetString()));
            await ExpectGoodAsync(source, image);
        }
    }

    [RequiresQemuFact]
    public async Task A_RAMBlock_that_comes_while_a_guest_is_saved_live_fails_the_save_and_the_guest_runs_on()
    {
        // QEMU itself plugs nothing in while it streams; while memory is compared it does.
        var image = product.Image("plugged.image");
        await using var source = await QemuProcess.StartAsync(Recipe with { ExtraArguments = ["-m", "slots=2,maxmem=256M"] });
        await source.WaitUntilReadyAsync();
        var id = await BeginSlowAsync(source, image, "compare");
        await source.Monitor.ExecuteAsync("object-add", new JsonObject { ["qom-type"] = "memory-backend-ram", ["id"] = "plugged", ["size"] = 32 << 20 });
        await source.Monitor.ExecuteAsync("device_add", new JsonObject { ["driver"] = "pc-dimm", ["id"] = "dimm0", ["memdev"] = "plugged" });
        (await product.RunAsync("complete", id)).ExpectExit(1);
        var failed = await product.WaitForEndAsync(id);
        Assert.Equal(("failed", "ram-block-resized"), (failed.GetProperty("phase").GetString(), failed.GetProperty("reason").GetString()));
        await ExpectUntouchedAsync(source);
        Assert.Empty(Directory.EnumerateFiles(product.StorageRoot, Path.GetFileName(image) + "*"));
    }

    /// <summary>Under TCG QEMU ends itself (an assertion) when it reads the log of a RAMBlock that is longer than its first one.</summary>
    [RequiresQemuFact]
    public async Task A_guest_whose_QEMU_would_not_survive_its_stream_is_compared()
    {
        await using var source = await QemuProcess.StartAsync(new GuestRecipe
        {
            MiB = 40,
            NumaNodes = 16,
            VCpus = 2,
            Boot = new SelfCheckBoot { AtFullSpeed = true, Seed = 77, UpperMiB = 38 },
        });
        await source.WaitUntilReadyAsync(TimeSpan.FromSeconds(120));
        for (var i = 0; i < 2; i++)
        {
            var image = product.Image($"survived-{i}.image");
            var saved = await product.SaveAsync(source, image, "--mode", "stream", "--max-downtime", "2s", "--policy", "must-finish");
            Assert.Contains(saved.GetProperty("notes").EnumerateArray(), note => note.GetString()!.Contains("compared instead of streamed", StringComparison.Ordinal));
            await ExpectGoodAsync(source, image);
        }
    }

    [RequiresQemuTheory]
    [InlineData(2, null)]
    [InlineData(4, null)]
    [InlineData(3, "pc-q35-7.2")]
    public async Task Parallel_streams_bring_the_same(int streams, string? machine)
    {
        // Machines before 8.1 let the channels of multifd meet at other places.
        var recipe = Recipe with { Machine = machine, Boot = new SelfCheckBoot { AtFullSpeed = true, Seed = 7, UpperMiB = 62 } };
        await using var source = await QemuProcess.StartAsync(recipe);
        await source.WaitUntilReadyAsync();
        for (var i = 0; i < 3; i++)
        {
            var image = product.Image($"streams-{streams}-{i}.image");
            await product.SaveAsync(source, image, "--mode", "stream", "--streams", $"{streams}", "--max-downtime", "2s", "--policy", "must-finish");
            Assert.True((await source.Monitor.ExecuteAsync("query-migrate")).GetProperty("ram").GetProperty("multifd-bytes").GetInt64() > 0);
            await ExpectGoodAsync(source, image);
        }
    }

    [RequiresQemuTheory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_QEMU_that_ends_while_it_streams_ends_the_save_and_no_file_is_left(int streams)
    {
        var image = product.Image($"ended-{streams}.image");
        await using var source = await StartAsync();
        var id = await product.BeginSaveAsync(source, image, "--mode", "stream", "--streams", $"{streams}", "--bwlimit", "8MiB/s");
        await product.WaitUntilWritingAsync(id);
        await source.KillAsync();
        Assert.Equal("failed", (await product.WaitForEndAsync(id)).GetProperty("phase").GetString());
        Assert.Empty(Directory.EnumerateFiles(product.StorageRoot, Path.GetFileName(image) + "*"));
    }

    [RequiresQemuTheory]
    [InlineData("stream")]
    [InlineData("compare")]
    public async Task A_silo_that_is_killed_costs_neither_the_guest_nor_what_is_durable(string mode)
    {
        var image = product.Image($"killed-{mode}.image");
        await using var source = await StartAsync();
        var id = await BeginSlowAsync(source, image, mode);
        await product.WaitForDurableAsync(id, 4 << 20);
        await product.KillSiloAsync();
        await ExpectRunsAsync(source);

        // Any command starts a silo, which takes the migration up by itself.
        (await product.RunAsync("status")).ExpectOk();
        await product.WaitForStatusAsync(id, status => status.GetProperty("phase").GetString() == "active", "it goes on");
        (await product.RunAsync("complete", id)).ExpectOk();
        await ExpectGoodAsync(source, image);
    }

    private static async Task<QemuProcess> StartAsync()
    {
        var guest = await QemuProcess.StartAsync(Recipe);
        await guest.WaitUntilReadyAsync();
        return guest;
    }

    private async Task<string> BeginSlowAsync(QemuProcess source, string image, string mode)
    {
        var id = await product.BeginSaveAsync(source, image, "--mode", mode, "--bwlimit", "8MiB/s");
        await product.WaitUntilWritingAsync(id);
        return id;
    }

    /// <summary>It runs, its memory is as it left it, and QEMU's settings are those of before.</summary>
    private static async Task ExpectUntouchedAsync(QemuProcess source)
    {
        await ExpectRunsAsync(source);
        await ExpectSettingsAsync(source);
    }

    private static async Task ExpectRunsAsync(QemuProcess source)
    {
        await Wait.UntilAsync(async () => await source.Monitor.RunStateAsync() == "running", "the guest runs");
        await source.WaitForStepsAsync(3);
    }

    private static async Task ExpectSettingsAsync(QemuProcess source)
    {
        var parameters = await source.Monitor.ExecuteAsync("query-migrate-parameters");
        Assert.Equal(300, parameters.GetProperty("downtime-limit").GetInt64());
        var capabilities = await source.Monitor.ExecuteAsync("query-migrate-capabilities");
        Assert.DoesNotContain(
            capabilities.EnumerateArray(),
            item => item.GetProperty("capability").GetString() is "multifd" or "auto-converge" && item.GetProperty("state").GetBoolean());
    }

    /// <summary>The stopped guest and its image hold the same, and the image proves itself.</summary>
    private async Task ExpectGoodAsync(QemuProcess source, string image)
    {
        GuestMemoryOracle.AssertEqual(await GuestMemoryOracle.CaptureAsync(source), ImageOracle.Capture(image));
        (await product.RunAsync("verify", image, "--deep")).ExpectOk();
        await ExpectSettingsAsync(source);
        await source.ContinueAsync();
        await source.WaitForStepsAsync(3);
    }
}

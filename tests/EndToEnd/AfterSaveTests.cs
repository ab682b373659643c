using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>What becomes of the guest when its save has ended, well or not.</summary>
public sealed class AfterSaveTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    private static readonly GuestRecipe Recipe = new() { MiB = 32 };

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Private)]
    public async Task By_default_a_running_guest_is_left_paused_and_can_be_continued(MemoryKind memory)
    {
        await using var source = await StartAsync(memory);
        var migration = await product.SaveAsync(source, product.Image($"default-{memory}.image"));
        var state = await source.Monitor.RunStateAsync();
        Assert.True(state is "paused" or "postmigrate", state);
        Assert.Equal(state, migration.GetProperty("guest-state").GetString());
        await source.ContinueAsync();
        await source.WaitForStepsAsync();
    }

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Private)]
    public async Task A_guest_that_runs_on_holds_its_image_until_its_QEMU_has_ended(MemoryKind memory)
    {
        var image = product.Image($"run-{memory}.image");
        await using var source = await StartAsync(memory);
        var migration = await product.SaveAsync(source, image, "--then", "run");
        Assert.Equal("running", migration.GetProperty("guest-state").GetString());
        Assert.Equal("running", await source.Monitor.RunStateAsync());
        await source.WaitForStepsAsync();

        await using var target = await QemuProcess.StartAsync(source.Recipe.AsTarget() with { BootFolder = source.Folder });
        var refused = (await product.TryRestoreAsync(image, target)).ExpectExit(7);
        Assert.Contains(Number(source.Pid), refused.ErrorOutput, StringComparison.Ordinal);
        Assert.Equal("inmigrate", await target.Monitor.RunStateAsync());
        await source.WaitForStepsAsync();

        await source.KillAsync();
        await product.RestoreAsync(image, target);
        await target.WaitForStepsAsync(3);
        Assert.DoesNotContain("START", target.Serial.Text, StringComparison.Ordinal);
    }

    [RequiresQemuFact]
    public async Task A_guest_that_is_to_quit_has_ended_and_its_image_loads()
    {
        var image = product.Image("quit.image");
        await using var source = await StartAsync(MemoryKind.SharedFile);
        await product.SaveAsync(source, image, "--then", "quit");
        Assert.Equal(0, await source.WaitForExitAsync());
        await using var target = await QemuProcess.StartAsync(Recipe.AsTarget() with { BootFolder = source.Folder });
        await product.RestoreAsync(image, target);
        await target.WaitForStepsAsync(3);
    }

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Private)]
    public async Task A_guest_that_was_paused_is_paused_after_its_save_and_its_steps_have_not_gone_on(MemoryKind memory)
    {
        await using var source = await StartAsync(memory);
        await source.PauseAsync();
        var before = source.Recipe.Boot.Steps(source.Serial.Text);
        await product.SaveAsync(source, product.Image($"paused-{memory}.image"));
        Assert.NotEqual("running", await source.Monitor.RunStateAsync());
        Assert.Equal(before, source.Recipe.Boot.Steps(source.Serial.Text));
        await source.ContinueAsync();
        await source.WaitForStepsAsync();
    }

    [RequiresQemuTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_refused_save_leaves_guest_and_image_as_they_were(bool paused)
    {
        var image = product.Image($"there-{paused}.image");
        await File.WriteAllTextAsync(image, "somebody's image");
        await using var source = await StartAsync(MemoryKind.SharedFile);
        if (paused)
            await source.PauseAsync();
        (await product.TrySaveAsync(source, image)).ExpectExit(3);
        Assert.Equal(paused ? "paused" : "running", await source.Monitor.RunStateAsync());
        Assert.Equal("somebody's image", await File.ReadAllTextAsync(image));
        Assert.DoesNotContain(source.Monitor.Events, happened => happened.GetProperty("event").GetString() == (paused ? "RESUME" : "STOP"));
    }

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile, true)]
    [InlineData(MemoryKind.SharedFile, false)]
    [InlineData(MemoryKind.Private, true)]
    [InlineData(MemoryKind.Private, false)]
    public async Task A_save_that_is_cancelled_gives_the_guest_its_run_state_back_and_leaves_no_file(MemoryKind memory, bool paused)
    {
        var image = product.Image($"cancelled-{memory}-{paused}.image");
        await using var source = await StartAsync(memory);
        if (paused)
            await source.PauseAsync();

        // Far more time than the test takes, however slow the machine is.
        var id = await product.BeginSaveAsync(source, image, "--bwlimit", "128KiB/s");
        await product.WaitUntilWritingAsync(id);
        Assert.Equal("paused", await source.Monitor.RunStateAsync());
        await product.RunAsync("cancel", id);
        var status = await product.WaitForEndAsync(id);
        Assert.Equal("cancelled", status.GetProperty("phase").GetString());
        Assert.Equal(paused ? "paused" : "running", await source.Monitor.RunStateAsync());
        Assert.Empty(Directory.EnumerateFiles(product.StorageRoot, Path.GetFileName(image) + "*"));
        if (!paused)
            await source.WaitForStepsAsync();
    }

    private static async Task<QemuProcess> StartAsync(MemoryKind memory)
    {
        var guest = await QemuProcess.StartAsync(Recipe with { Memory = memory });
        await guest.WaitUntilReadyAsync();
        return guest;
    }

    private static string Number(int value) => value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

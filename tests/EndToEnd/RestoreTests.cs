using System.Globalization;
using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>Our own restore into a waiting QEMU.</summary>
public sealed class RestoreTests(SavedImage saved) : IClassFixture<SavedImage>
{
    private static readonly Dictionary<string, Func<GuestRecipe, GuestRecipe>> Differences = new()
    {
        ["pc.ram"] = recipe => recipe with { MiB = 64 },
        ["vCPUs is 2 in the image and 1"] = recipe => recipe with { VCpus = 1 },
        ["rng0"] = recipe => recipe with { ExtraArguments = [] },
        ["rng1"] = recipe => recipe with { ExtraArguments = [.. recipe.ExtraArguments, "-device", "virtio-rng-pci,id=rng1"] },
        ["disk boot"] = recipe => recipe with { BootFolder = null },
        ["CPU model"] = recipe => recipe with { ExtraArguments = [.. recipe.ExtraArguments, "-cpu", "Nehalem"] },
        ["i440fx"] = recipe => recipe with { Machine = LabPrograms.NewestMachine.Replace("q35", "i440fx", StringComparison.Ordinal) },
    };

    public static TheoryData<string> DifferenceNames => [.. Differences.Keys];

    private ProductUnderTest Product => saved.Product;

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Memfd)]
    [InlineData(MemoryKind.Private)]
    public async Task A_restored_guest_runs_on(MemoryKind memory)
    {
        await using var target = await QemuProcess.StartAsync((saved.Recipe with { Memory = memory }).AsTarget(startPaused: false));
        var migration = await Product.RestoreAsync(saved.Copy(), target);
        Assert.Equal("running", migration.GetProperty("guest-state").GetString());
        await target.WaitForStepsAsync(3);
        Assert.DoesNotContain("START", target.Serial.Text, StringComparison.Ordinal);
    }

    [RequiresQemuTheory]
    [InlineData("--channels", "0")]
    [InlineData("--channels", "2")]
    [InlineData("--direct-io")]
    public async Task A_guest_restored_paused_has_every_page_and_runs_once_it_is_continued(params string[] options)
    {
        await using var target = await QemuProcess.StartAsync(saved.Recipe.AsTarget(startPaused: false));
        await Product.RestoreAsync(saved.Copy(), target, ["--paused", .. options]);
        Assert.Equal("paused", await target.Monitor.RunStateAsync());
        GuestMemoryOracle.AssertEqual(saved.Memory, await GuestMemoryOracle.CaptureAsync(target));
        Assert.Empty(target.Serial.Text);
        await target.ContinueAsync();
        await target.WaitForStepsAsync(3);
    }

    [RequiresQemuFact]
    public async Task A_second_restore_is_refused_by_naming_who_runs_the_guest_until_that_QEMU_has_ended()
    {
        var image = saved.Copy();
        await using var first = await QemuProcess.StartAsync(saved.Recipe.AsTarget());
        await Product.RestoreAsync(image, first);
        await using var second = await QemuProcess.StartAsync(saved.Recipe.AsTarget());
        var refused = (await Product.TryRestoreAsync(image, second)).ExpectExit(7);
        Assert.Contains($"process {first.Pid.ToString(CultureInfo.InvariantCulture)}", refused.ErrorOutput, StringComparison.Ordinal);
        await AssertNotLoadedAsync(second);
        await first.WaitForStepsAsync();

        await first.KillAsync();
        await Product.RestoreAsync(image, second);
        await second.WaitForStepsAsync(3);
    }

    [RequiresQemuTheory]
    [MemberData(nameof(DifferenceNames))]
    public async Task A_target_that_differs_is_refused_by_naming_the_difference_and_is_not_loaded(string difference)
    {
        var image = saved.Copy();
        await using var target = await QemuProcess.StartAsync(Differences[difference](saved.Recipe).AsTarget());
        var refused = (await Product.TryRestoreAsync(image, target)).ExpectExit(3);
        Assert.Contains(difference, refused.ErrorOutput, StringComparison.Ordinal);
        Assert.Equal("image-mismatch", refused.Json.GetProperty("reason").GetString());
        await AssertNotLoadedAsync(target);
        Assert.False(File.Exists(image + ".claim.1"), "A refused restore holds the claim.");
    }

    [RequiresQemuFact]
    public async Task A_QEMU_that_does_not_wait_is_refused_and_left_alone()
    {
        await using var running = await QemuProcess.StartAsync(saved.Recipe);
        await running.WaitUntilReadyAsync();
        var refused = (await Product.TryRestoreAsync(saved.Copy(), running)).ExpectExit(3);
        Assert.Contains("-incoming defer", refused.ErrorOutput, StringComparison.Ordinal);
        Assert.Equal("running", await running.Monitor.RunStateAsync());
        Assert.DoesNotContain(running.Monitor.Events, happened => happened.GetProperty("event").GetString() == "STOP");
        await running.WaitForStepsAsync();
    }

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Private)]
    public async Task Without_a_manifest_the_guest_runs_on_and_what_was_not_checked_is_said(MemoryKind memory)
    {
        var image = saved.Copy();
        File.Delete(image + ".manifest.json");
        await using var target = await QemuProcess.StartAsync((saved.Recipe with { Memory = memory }).AsTarget());
        var result = (await Product.TryRestoreAsync(image, target)).ExpectOk();
        Assert.Contains("no manifest", result.ErrorOutput, StringComparison.Ordinal);
        var note = Assert.Single(result.Json.GetProperty("notes").EnumerateArray()).GetString();
        foreach (var unchecked_ in new[] { "vCPU", "CPU model", "devices", "disks" })
            Assert.Contains(unchecked_, note, StringComparison.Ordinal);
        await target.WaitForStepsAsync(3);
    }

    [RequiresQemuFact]
    public async Task Without_a_manifest_another_memory_size_is_still_refused()
    {
        var image = saved.Copy();
        File.Delete(image + ".manifest.json");
        await using var target = await QemuProcess.StartAsync((saved.Recipe with { MiB = 64 }).AsTarget());
        var refused = (await Product.TryRestoreAsync(image, target)).ExpectExit(3);
        Assert.Contains("pc.ram", refused.ErrorOutput, StringComparison.Ordinal);
        await AssertNotLoadedAsync(target);
    }

    [RequiresQemuFact]
    public async Task A_target_whose_memory_has_been_used_before_is_refused()
    {
        var image = saved.Copy();
        await using var target = await QemuProcess.StartAsync(saved.Recipe.AsTarget());

        // 28 MiB: above what the saved guest used, so the image has no page that would replace it.
        const long Page = 28 * 256;
        Assert.DoesNotContain(Page, ImageOracle.PagesPresent(image, "pc.ram"));
        using (var memory = File.OpenHandle(Path.Combine(target.MemoryFolder, "pc.ram"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            RandomAccess.Write(memory, [1], Page * 4096);
        var refused = (await Product.TryRestoreAsync(image, target)).ExpectExit(3);
        Assert.Contains("not empty", refused.ErrorOutput, StringComparison.Ordinal);
        Assert.Equal("inmigrate", await target.Monitor.RunStateAsync());
    }

    private static async Task AssertNotLoadedAsync(QemuProcess target)
    {
        Assert.Equal("inmigrate", await target.Monitor.RunStateAsync());
        Assert.Empty(target.Monitor.Events.Where(happened => happened.GetProperty("event").GetString() == "MIGRATION").Select(State));
        Assert.Equal(0, (await GuestMemoryOracle.CaptureAsync(target)).NonZeroPageCount("pc.ram"));

        static string? State(JsonElement happened) => happened.GetProperty("data").GetProperty("status").GetString();
    }
}

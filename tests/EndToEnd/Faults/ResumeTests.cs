using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>
/// Saves that are interrupted and go on from where they were: the guest runs meanwhile and changes its memory, and in the end the
/// image holds it as it was at the last stop.
/// </summary>
public sealed class ResumeTests : IClassFixture<ShortEpochs>, IAsyncLifetime
{
    private const string Rate = "2MiB/s";

    private readonly FaultBench _bench;

    public ResumeTests(ShortEpochs fixture) => _bench = fixture.Bench;

    public Task InitializeAsync() => _bench.ResetAsync();

    public Task DisposeAsync() => Task.CompletedTask;

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task When_the_storage_is_full_the_guest_runs_on_and_the_save_completes_by_itself_once_there_is_space()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var own = new DisposableBench(storage);
        var guest = await own.Value.GuestAsync();
        var filler = storage.Fill(leave: 12 << 20);
        var image = storage.At("a.img");
        var id = await own.Value.SubmitAsync(guest, image, "1GiB/s");
        var paused = await own.Value.WaitForPhaseAsync(id, "paused");
        Assert.Equal("no-space", paused.GetProperty("reason").GetString());
        Assert.True(File.Exists(image + ".partial"));
        Assert.False(File.Exists(image));
        await Expect.RunsAtOnceAsync(guest);

        File.Delete(filler);
        await own.Value.CompleteAsync(id, image);
    }

    [RequiresQemuFact]
    public async Task A_save_that_the_operator_pauses_keeps_its_work_and_goes_on_when_told()
    {
        var guest = await _bench.GuestAsync();
        var image = _bench.Product.Image("paused.img");
        var id = await _bench.SubmitAsync(guest, image, Rate);
        await _bench.WaitUntilCopyingAsync();
        await PauseAsync(id);
        await Expect.RunsAtOnceAsync(guest);
        Assert.True(await _bench.SumBlocksAsync(id, "pages-durable") > 0, "What was written before the pause is durable.");

        (await _bench.Product.RunAsync("resume", id, "--detach")).ExpectOk();
        await _bench.CompleteAsync(id, image);
    }

    [RequiresQemuFact]
    public async Task A_save_whose_silo_is_killed_goes_on_in_the_next_one_from_what_is_durable()
    {
        var guest = await _bench.GuestAsync();
        var image = _bench.Product.Image("killed.img");
        var id = await _bench.SubmitAsync(guest, image, Rate);
        await _bench.WaitUntilCopiedAsync(pages: 1000);
        await _bench.Product.KillSiloAsync();
        (await _bench.Product.RunAsync("status")).ExpectOk();
        await _bench.CompleteAsync(id, image);
    }

    [RequiresQemuFact]
    public async Task A_paused_save_survives_its_silo_and_is_cancelled_without_a_trace()
    {
        var guest = await _bench.GuestAsync();
        var before = FolderState.Of(_bench.Images);
        var image = _bench.Product.Image("gone.img");
        var id = await _bench.SubmitAsync(guest, image);
        await _bench.WaitUntilCopyingAsync();
        await PauseAsync(id);
        await _bench.Product.KillSiloAsync();
        (await _bench.Product.RunAsync("status")).ExpectOk();
        Assert.Equal("paused", (await _bench.StatusAsync(id)).Phase);
        (await _bench.Product.RunAsync("cancel", id)).ExpectOk();
        Assert.Equal("cancelled", (await _bench.StatusAsync(id)).Phase);
        await Expect.RunsAtOnceAsync(guest);
        before.ExpectUnchanged();
    }

    [RequiresQemuFact]
    public async Task Pauses_make_no_page_of_a_guest_that_stands_still_be_written_twice()
    {
        var guest = await _bench.GuestAsync();
        await guest.PauseAsync();
        var image = _bench.Product.Image("still.img");
        var id = await _bench.SubmitAsync(guest, image, "1MiB/s");
        foreach (var pages in new[] { 300, 2000 })
        {
            await _bench.WaitUntilCopiedAsync(pages);
            await PauseAsync(id);
            Assert.Equal("paused", await guest.Monitor.RunStateAsync());
            (await _bench.Product.RunAsync("resume", id, "--detach")).ExpectOk();
        }

        await _bench.WaitForPhaseAsync(id, "completed");
        Assert.Equal(0, await _bench.SumBlocksAsync(id, "written-redirtied"));
        Assert.Equal(PagesPresent(image), await _bench.SumBlocksAsync(id, "written-first") + await _bench.SumBlocksAsync(id, "written-resumed"));
        await _bench.CompleteAsync(id, image);
    }

    [RequiresQemuFact]
    public async Task After_its_silo_was_killed_a_save_writes_only_pages_that_were_not_durable()
    {
        var guest = await _bench.GuestAsync();
        await guest.PauseAsync();
        var image = _bench.Product.Image("still.img");
        var id = await _bench.SubmitAsync(guest, image, Rate);
        var kept = await _bench.WaitUntilDurableAsync(pages: 1000);
        await _bench.Product.KillSiloAsync();
        await _bench.WaitForPhaseAsync(id, "completed");
        var written = await _bench.SumBlocksAsync(id, "written-first") + await _bench.SumBlocksAsync(id, "written-resumed");
        Assert.Equal(0, await _bench.SumBlocksAsync(id, "written-redirtied"));
        Assert.InRange(written, 1, PagesPresent(image) - kept);
        await _bench.CompleteAsync(id, image);
    }

    [RequiresFaultsFact(FaultNeeds.Strace)]
    public async Task A_failed_fsync_makes_only_the_pages_since_the_last_good_one_be_written_again()
    {
        var guest = await _bench.GuestAsync();
        await guest.PauseAsync();
        var image = _bench.Product.Image("still.img");
        var id = await _bench.SubmitAsync(guest, image, Rate);
        var kept = await _bench.WaitUntilDurableAsync(pages: 1000);
        await using (var strace = await Strace.AttachAsync(_bench.Product.SiloPid, [image + ".partial"], "fsync", "fsync:error=EIO:when=1"))
            await strace.WaitForInjectionAsync();
        await _bench.WaitForPhaseAsync(id, "completed");
        var present = PagesPresent(image);
        Assert.Equal(0, await _bench.SumBlocksAsync(id, "written-redirtied"));
        Assert.Equal(present, await _bench.SumBlocksAsync(id, "written-first"));
        Assert.InRange(await _bench.SumBlocksAsync(id, "written-resumed"), 1, present - kept);
        await _bench.CompleteAsync(id, image);
    }

    [RequiresFaultsFact(FaultNeeds.Strace)]
    public async Task An_error_that_only_close_tells_keeps_the_image_from_being_published_and_lets_the_guest_run_until_the_next_try()
    {
        var guest = await _bench.GuestAsync();
        var events = guest.Monitor.Events.Count;
        var image = _bench.Product.Image("close.img");
        var id = await _bench.SubmitAsync(guest, image, Rate);
        await _bench.WaitUntilCopyingAsync();
        await using (var strace = await Strace.AttachAsync(_bench.Product.SiloPid, [image + ".partial"], "close", "close:error=EIO:when=1"))
            await strace.WaitForInjectionAsync();
        await _bench.WaitForPhaseAsync(id, "completed");
        Assert.Equal(
            ["STOP", "RESUME", "STOP"],
            guest.Monitor.Events.Skip(events).Select(e => e.GetProperty("event").GetString()).Where(name => name is "STOP" or "RESUME"));
        await _bench.CompleteAsync(id, image);
    }

    private static long PagesPresent(string image) => ImageOracle.Layout(image).Sum(block => (long)ImageOracle.PagesPresent(image, block.Name).Count);

    private async Task PauseAsync(string id)
    {
        (await _bench.Product.RunAsync("pause", id)).ExpectOk();
        Assert.Equal("paused-by-operator", (await _bench.WaitForPhaseAsync(id, "paused")).GetProperty("reason").GetString());
    }
}

using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Storage that does not answer: a frozen file system, in which every write waits and cannot be interrupted.</summary>
public sealed class HungStorageTests
{
    private const int Cancelled = 5;
    private const int Busy = 7;

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task While_writes_hang_status_and_list_answer_and_cancel_gives_the_guest_back()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        var product = bench.Value.Product;
        var guest = await bench.Value.GuestAsync();
        (await product.RunAsync("status")).ExpectOk();
        var usual = await TimeAsync(product, "status");
        var image = storage.At("a.img");
        await using var save = await bench.Value.StartSlowSaveAsync(guest, image, "256KiB/s");
        var id = save.Id;
        storage.Freeze();
        try
        {
            await StuckThreads.WaitAsync(product.SiloPid);
            await ExpectAnswersAsync(product, usual, "status", "list", $"status {id}", $"blocks {id}");
            (await product.RunAsync("cancel", id, "--detach")).ExpectOk();
            await Expect.RunsAgainAsync(guest);
            var cancelled = await save.WatchAsync(Wait.Ordinary);
            cancelled.ExpectExit(Cancelled);
            Assert.Contains($"{image}.partial is kept", cancelled.ErrorOutput, StringComparison.Ordinal);
            Assert.False(File.Exists(image));

            // The guest is free for a save elsewhere, although the write still hangs.
            var elsewhere = product.Image("elsewhere.img");
            (await product.RunAsync("save", FaultBench.GuestName, elsewhere, "--qmp", guest.QmpSocket)).ExpectOk();
            (await product.RunAsync("verify", elsewhere)).ExpectOk();
            await guest.ContinueAsync();
        }
        finally
        {
            storage.Unfreeze();
        }

        // What was kept belongs to nobody, and says so to the next save of that name.
        await StuckThreads.WaitForNoneAsync(product.SiloPid);
        Expect.Failure(await bench.Value.SaveAsync(image), Busy, $"unfinished work of migration {id}", "distmigrate gc");
        (await product.RunAsync("gc", "--remove")).ExpectOk();
        Assert.Empty(FaultBench.Unfinished(image));
        (await bench.Value.SaveAsync(image)).ExpectOk();
        (await product.RunAsync("verify", image)).ExpectOk();
        Assert.Empty(FaultBench.Unfinished(image));
    }

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task A_hang_longer_than_the_downtime_that_was_allowed_pauses_the_save_and_it_completes_by_itself_once_the_storage_answers()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        var product = bench.Value.Product;
        var guest = await bench.Value.GuestAsync();
        (await product.RunAsync("status")).ExpectOk();
        var usual = await TimeAsync(product, "status");
        var image = storage.At("a.img");
        await using var save = await bench.Value.StartSlowSaveAsync(guest, image, "3MiB/s", "--max-downtime", "2s");
        storage.Freeze();
        try
        {
            var paused = await bench.Value.WaitForPhaseAsync(save.Id, "paused");
            Assert.Equal("storage-stalled", paused.GetProperty("reason").GetString());
            Assert.InRange(paused.GetProperty("trouble").GetProperty("stuck-writes").GetInt32(), 1, 100);
            await Expect.RunsAtOnceAsync(guest);
            await ExpectAnswersAsync(product, usual, "status", "list", $"status {save.Id}", $"blocks {save.Id}");

            // Another guest's save is not held up.
            await using var other = await QemuProcess.StartAsync(FaultBench.Recipe);
            await other.WaitUntilReadyAsync();
            (await product.RunAsync("save", "other", product.Image("other.img"), "--qmp", other.QmpSocket)).ExpectOk();
            (await product.RunAsync("verify", product.Image("other.img"), "--deep")).ExpectOk();
            Assert.Equal("paused", (await bench.Value.StatusAsync(save.Id)).Phase);
        }
        finally
        {
            storage.Unfreeze();
        }

        await bench.Value.CompleteAsync(save.Id, image);
    }

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task A_hang_within_the_downtime_that_was_allowed_is_waited_for()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        var guest = await bench.Value.GuestAsync();
        var image = storage.At("a.img");
        await using var save = await bench.Value.StartSlowSaveAsync(guest, image, "3MiB/s", "--max-downtime", "60s");
        storage.Freeze();
        try
        {
            await StuckThreads.WaitAsync(bench.Value.Product.SiloPid);
            Assert.Equal("active", (await bench.Value.StatusAsync(save.Id)).Phase);
        }
        finally
        {
            storage.Unfreeze();
        }

        await bench.Value.WaitForPhaseAsync(save.Id, "completed");
        Assert.DoesNotContain(guest.Monitor.Events, e => e.GetProperty("event").GetString() == "RESUME");
        await bench.Value.CompleteAsync(save.Id, image);
    }

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task A_save_that_hangs_before_the_guest_is_stopped_is_cancelled_and_leaves_nothing_once_the_storage_answers()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        var product = bench.Value.Product;
        var guest = await bench.Value.GuestAsync();
        (await product.RunAsync("status")).ExpectOk();
        var before = FolderState.Of(storage.Path);
        var untouched = Directory.GetLastWriteTimeUtc(storage.Path);
        storage.Freeze();
        try
        {
            var id = await bench.Value.SubmitAsync(guest, storage.At("a.img"), "1GiB/s");
            await StuckThreads.WaitAsync(product.SiloPid);
            Assert.Equal("setup", (await bench.Value.StatusAsync(id)).Phase);
            await Expect.RunsAtOnceAsync(guest);
            (await product.RunAsync("cancel", id)).ExpectOk();
            Assert.Equal("cancelled", (await bench.Value.StatusAsync(id)).Phase);
            await Expect.RunsAtOnceAsync(guest);
        }
        finally
        {
            storage.Unfreeze();
        }

        // The call that hung makes the partial image yet.
        await Wait.UntilAsync(() => Directory.GetLastWriteTimeUtc(storage.Path) != untouched && before.IsUnchanged, "nothing is left of the save");
        (await bench.Value.SaveAsync(storage.At("a.img"))).ExpectOk();
    }

    private static async Task ExpectAnswersAsync(ProductUnderTest product, TimeSpan usual, params string[] commands)
    {
        foreach (var command in commands)
        {
            var taken = await TimeAsync(product, command.Split(' '));
            Assert.True(taken < (usual * 3) + TimeSpan.FromSeconds(2), $"'{command}' took {taken.TotalSeconds:0.0} s, and {usual.TotalSeconds:0.0} s without the hang.");
        }
    }

    private static async Task<TimeSpan> TimeAsync(ProductUnderTest product, params string[] command)
    {
        var start = TimeProvider.System.GetTimestamp();
        (await product.RunAsync(command)).ExpectOk();
        return TimeProvider.System.GetElapsedTime(start);
    }
}

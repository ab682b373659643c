using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Storage that does not answer: a frozen file system, in which every write waits and cannot be interrupted.</summary>
public sealed class HungStorageTests
{
    private const int Cancelled = 5;

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
            foreach (var command in new[] { "status", "list", $"status {id}", $"blocks {id}" })
            {
                var taken = await TimeAsync(product, command.Split(' '));
                Assert.True(taken < (usual * 3) + TimeSpan.FromSeconds(2), $"'{command}' took {taken.TotalSeconds:0.0} s, and {usual.TotalSeconds:0.0} s without the hang.");
            }

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

        // What was kept does not stand in the way of the next save of that name.
        await StuckThreads.WaitForNoneAsync(product.SiloPid);
        (await bench.Value.SaveAsync(image)).ExpectOk();
        (await product.RunAsync("verify", image)).ExpectOk();
        Assert.False(File.Exists(image + ".partial"));
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

        await StuckThreads.WaitForNoneAsync(product.SiloPid);
        await Wait.UntilAsync(() => !File.Exists(storage.At("a.img.partial")), "nothing is left of the save");
        before.ExpectUnchanged();
        (await bench.Value.SaveAsync(storage.At("a.img"))).ExpectOk();
    }

    private static async Task<TimeSpan> TimeAsync(ProductUnderTest product, params string[] command)
    {
        var start = TimeProvider.System.GetTimestamp();
        (await product.RunAsync(command)).ExpectOk();
        return TimeProvider.System.GetElapsedTime(start);
    }
}

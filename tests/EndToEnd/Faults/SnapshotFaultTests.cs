using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>
/// Storage that fails under a snapshot. QEMU lets each write of the guest to a page that was not sent yet wait, so a snapshot that cannot go on
/// is given up; when the storage is well again the next one is taken.
/// </summary>
public sealed class SnapshotFaultTests
{
    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task When_the_storage_is_full_the_guest_runs_on_and_a_later_moment_is_saved_once_there_is_space()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        var guest = await bench.Value.GuestAsync();
        var filler = storage.Fill(leave: 12 << 20);
        var image = storage.At("a.img");
        var id = await bench.Value.SubmitAsync(guest, image, "1GiB/s", options: ["--mode", "snapshot"]);
        var paused = await bench.Value.WaitForPhaseAsync(id, "paused");
        Assert.Equal("no-space", paused.GetProperty("reason").GetString());
        await Expect.RunsAtOnceAsync(guest);

        File.Delete(filler);
        await CompleteAsync(bench.Value, guest, id, image);
    }

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task A_hang_longer_than_what_was_allowed_frees_the_guest_and_the_save_completes_by_itself_once_the_storage_answers()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        var guest = await bench.Value.GuestAsync();
        var image = storage.At("a.img");
        var id = await bench.Value.SubmitAsync(guest, image, "1MiB/s", options: ["--mode", "snapshot", "--max-downtime", "2s"]);
        await bench.Value.WaitUntilCopyingAsync();
        storage.Freeze();
        try
        {
            var paused = await bench.Value.WaitForPhaseAsync(id, "paused");
            Assert.Equal("storage-stalled", paused.GetProperty("reason").GetString());
            await Expect.RunsAtOnceAsync(guest);
        }
        finally
        {
            storage.Unfreeze();
        }

        (await bench.Value.Product.RunAsync("set", id, "--bwlimit", "0")).ExpectOk();
        await CompleteAsync(bench.Value, guest, id, image);
    }

    private static async Task CompleteAsync(FaultBench bench, QemuProcess guest, string id, string image)
    {
        await bench.WaitForPhaseAsync(id, "completed");
        await Expect.RunsAtOnceAsync(guest);
        (await bench.Product.RunAsync("verify", image, "--deep")).ExpectOk();
        await Expect.LoadsAsync(image, FaultBench.Recipe);
    }
}

using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults.Storage;

/// <summary>Saves to an xfs that is frozen, is full, or loses what was not made durable.</summary>
public sealed class XfsSaveTests
{
    private const int MiB = 320;

    [FullFaultsFact(FaultNeeds.Xfs)]
    public async Task A_frozen_xfs_pauses_the_save_and_it_completes_by_itself_once_it_is_thawed()
    {
        await using var storage = MountedFolder.Xfs(MiB);
        await using var own = ShortEpochsOn(storage);
        var save = await FaultedSave.StartAsync(own.Value, storage.At("a.img"), "--max-downtime", "1s");
        storage.Freeze();
        try
        {
            await save.ExpectPausedAsync("storage-stalled");
        }
        finally
        {
            storage.Unfreeze();
        }

        await save.ExpectCompletedAsync();
    }

    [FullFaultsFact(FaultNeeds.Xfs)]
    public async Task A_full_xfs_pauses_the_save_and_it_completes_by_itself_once_there_is_space()
    {
        await using var storage = MountedFolder.Xfs(MiB);
        await using var own = ShortEpochsOn(storage);
        var filler = storage.Fill(leave: 12 << 20);
        var save = await FaultedSave.SubmitAsync(own.Value, storage.At("a.img"), "1GiB/s");
        var paused = await own.Value.WaitForPhaseAsync(save.Id, "paused");
        Assert.Equal("no-space", paused.GetProperty("reason").GetString());
        await Expect.RunsAtOnceAsync(await own.Value.GuestAsync());
        save.ExpectUnpublished();
        File.Delete(filler);
        await save.ExpectCompletedAsync();
    }

    [FullFaultsFact(FaultNeeds.Xfs)]
    public async Task After_a_power_cut_that_takes_silo_and_unsynced_data_the_save_goes_on_from_what_is_durable()
    {
        await using var storage = MountedFolder.Xfs(MiB);
        await using var own = ShortEpochsOn(storage);
        var product = own.Value.Product;
        var guest = await own.Value.GuestAsync();
        await guest.PauseAsync();
        var save = await FaultedSave.StartAsync(own.Value, storage.At("a.img"));

        // Nothing goes to the disk any more, not even the log: what was not synced is lost.
        SystemProgram.Run("xfs_io", "-x", "-c", "shutdown", storage.Path);
        await product.KillSiloAsync();
        await storage.MountAgainAsync();

        await own.Value.WaitForPhaseAsync(save.Id, "completed");
        var image = storage.At("a.img");
        var present = ImageOracle.Layout(image).Sum(block => (long)ImageOracle.PagesPresent(image, block.Name).Count);
        var written = await own.Value.SumBlocksAsync(save.Id, "written-first") + await own.Value.SumBlocksAsync(save.Id, "written-resumed");
        Assert.InRange(written, 1, present - save.Kept);
        Assert.Equal(0, await own.Value.SumBlocksAsync(save.Id, "written-redirtied"));
        await save.ExpectCompletedAsync();
    }

    private static DisposableBench ShortEpochsOn(MountedFolder storage)
    {
        var own = new DisposableBench(storage);
        own.Value.Product.Settings["DISTMIGRATE_Limits__EpochTime"] = "00:00:01";
        return own;
    }
}

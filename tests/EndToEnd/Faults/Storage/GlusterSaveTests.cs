using System.Globalization;
using DistMigrate.Tests.Lab;
using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.EndToEnd.Faults.Storage;

/// <summary>Saves to a GlusterFS whose brick or network fails in the middle.</summary>
public sealed class GlusterSaveTests(GlusterBench gluster) : IClassFixture<GlusterBench>
{
    private const int Busy = 7;

    /// <summary>What the volume's generator of errors may choose.</summary>
    private static readonly string[] AnyError = ["storage-error", "no-space", "read-only-storage", "storage-access-denied"];

    [FullFaultsFact(FaultNeeds.Gluster)]
    public Task A_brick_that_is_killed_and_comes_back_within_the_downtime_that_was_allowed_costs_nothing() => gluster.RunAsync(async (bench, storage) =>
    {
        var save = await FaultedSave.StartAsync(bench, storage.At("killed.img"), "--max-downtime", "60s");
        storage.KillBrick();
        await storage.RestartBrickAsync();
        await save.ExpectCompletedAtOnceAsync();
    });

    [FullFaultsFact(FaultNeeds.Gluster)]
    public Task A_brick_that_is_killed_for_longer_pauses_the_save_and_it_completes_by_itself_once_the_brick_runs() => gluster.RunAsync(async (bench, storage) =>
    {
        var save = await FaultedSave.StartAsync(bench, storage.At("killed-long.img"), "--max-downtime", "1s");
        storage.KillBrick();
        await save.ExpectPausedAsync("storage-error");
        await storage.RestartBrickAsync();
        await save.ExpectCompletedAsync();
    });

    [FullFaultsFact(FaultNeeds.Gluster)]
    public Task A_brick_that_stands_still_for_three_seconds_is_waited_for() => gluster.RunAsync(async (bench, storage) =>
    {
        var save = await FaultedSave.StartAsync(bench, storage.At("still.img"));
        using var other = PlainFile.Open(storage.At("other"));
        storage.StopBrick();
        var write = other.WriteOnThreadAsync(0);
        await Assert.ThrowsAsync<TimeoutException>(() => write.WaitAsync(TimeSpan.FromSeconds(3)));
        storage.ContinueBrick();
        Assert.Equal("ok", await write.WaitAsync(Wait.Ordinary));
        await save.ExpectCompletedAtOnceAsync();
    });

    [FullFaultsFact(FaultNeeds.Gluster)]
    public Task A_brick_that_stands_still_until_the_client_gives_it_up_pauses_the_save_and_it_completes_by_itself() =>
        SilenceAsync("still-long.img", storage => storage.StopBrick(), storage => storage.ContinueBrick());

    [FullFaultsFact(FaultNeeds.Gluster)]
    public Task A_link_that_is_down_until_the_client_gives_the_server_up_pauses_the_save_and_it_completes_by_itself() =>
        SilenceAsync("link.img", storage => storage.LinkDown(), storage => storage.LinkUp());

    [FullFaultsFact(FaultNeeds.Gluster)]
    public Task A_full_brick_pauses_the_save_and_it_completes_by_itself_once_there_is_space() => gluster.RunAsync(async (bench, storage) =>
    {
        storage.FillBrick(leaveMiB: 12);
        var save = await FaultedSave.SubmitAsync(bench, storage.At("full.img"), "1GiB/s");
        var paused = await bench.WaitForPhaseAsync(save.Id, "paused");
        Assert.Equal("no-space", paused.GetProperty("reason").GetString());
        await Expect.RunsAtOnceAsync(await bench.GuestAsync());
        save.ExpectUnpublished();
        storage.FreeBrick();
        await save.ExpectCompletedAsync();
    });

    [FullFaultsFact(FaultNeeds.Gluster)]
    public Task A_volume_that_becomes_read_only_pauses_the_save_and_it_completes_by_itself_once_it_is_writable() => gluster.RunAsync(async (bench, storage) =>
    {
        var save = await FaultedSave.StartAsync(bench, storage.At("read-only.img"));
        await storage.SetAsync("features.read-only", "on");
        await save.ExpectPausedAsync("read-only-storage");
        save.ExpectUnpublished();
        await storage.SetAsync("features.read-only", "off");
        await save.ExpectCompletedAsync();
    });

    [FullFaultsFact(FaultNeeds.Gluster)]
    public Task A_volume_that_takes_root_for_nobody_pauses_the_save_and_it_completes_by_itself_once_it_may_write() => gluster.RunAsync(async (bench, storage) =>
    {
        var save = await FaultedSave.StartAsync(bench, storage.At("squash.img"));
        await storage.SetAsync("server.root-squash", "on");
        await save.ExpectPausedAsync("storage-access-denied");
        save.ExpectUnpublished();
        await storage.SetAsync("server.root-squash", "off");
        await save.ExpectCompletedAsync();
    });

    [FullFaultsFact(FaultNeeds.Gluster)]
    public Task Writes_that_fail_with_any_error_or_are_short_end_in_a_whole_image() => gluster.RunAsync(async (bench, storage) =>
    {
        var save = await StartWithErrorsAsync(bench, storage, "errors.img", "write", percent: 20);
        await save.ExpectPausedAsync(AnyError);
        await storage.EndErrorsAsync();
        await save.ExpectCompletedAsync(isPausedOnce: false);
    });

    [FullFaultsFact(FaultNeeds.Gluster)]
    public Task An_fsync_that_fails_pauses_the_save_and_what_it_may_have_lost_is_written_again() => gluster.RunAsync(async (bench, storage) =>
    {
        var save = await StartWithErrorsAsync(bench, storage, "fsync.img", "fsync", percent: 100, "--max-downtime", "1s");
        await save.ExpectPausedAsync(AnyError);
        save.ExpectUnpublished();
        await storage.EndErrorsAsync();
        await save.ExpectCompletedAsync();
        Assert.True(await bench.SumBlocksAsync(save.Id, "written-resumed") > 0, "Nothing was written again.");
    });

    [FullFaultsFact(FaultNeeds.Gluster)]
    public Task A_partial_image_that_another_host_removes_or_replaces_fails_the_save_and_theirs_is_left_alone() => gluster.RunAsync(async (bench, storage) =>
    {
        var elsewhere = await storage.MountAsync();
        foreach (var theirs in new[] { null, "theirs" })
        {
            var image = storage.At($"another{theirs}.img");
            var save = await FaultedSave.StartAsync(bench, image);
            var partial = Path.Combine(elsewhere, Path.GetFileName(image) + ".partial");
            await Wait.UntilAsync(() => File.Exists(partial), "the other host sees the file");
            File.Delete(partial);
            if (theirs is not null)
                await File.WriteAllTextAsync(partial, theirs);
            await save.ExpectFailedAsync("image-replaced");
            save.ExpectUnpublished();
            Assert.Equal(theirs, File.Exists(partial) ? await File.ReadAllTextAsync(partial) : null);
        }
    });

    [FullFaultsFact(FaultNeeds.Gluster)]
    public Task A_silo_of_another_host_is_kept_off_an_image_that_is_being_written_and_told_by_whom() => gluster.RunAsync(async (bench, storage) =>
    {
        var elsewhere = await storage.MountAsync();
        await using var stranger = new ProductUnderTest();
        stranger.Settings["DISTMIGRATE_Storage__Roots__0"] = elsewhere;
        await using var other = await QemuProcess.StartAsync(FaultBench.Recipe);
        await other.WaitUntilReadyAsync();
        var guest = await bench.GuestAsync();
        await using var save = await bench.StartSlowSaveAsync(guest, storage.At("shared.img"));
        foreach (var options in new string[][] { [], ["--force"] })
        {
            var refused = await stranger.RunAsync(["save", "other", Path.Combine(elsewhere, "shared.img"), "--qmp", other.QmpSocket, .. options]);
            Expect.Failure(refused, Busy, save.Id, FaultBench.GuestName, "is writing");
        }

        await Expect.RunsAtOnceAsync(other);
        Assert.Equal("active", (await bench.StatusAsync(save.Id)).Phase);
        await save.CancelAsync();
        await Expect.RunsAtOnceAsync(guest);
    });

    /// <summary>Calls of the client begin to fail by chance in the middle of a save. What the errors are is set before, since each setting takes its time.</summary>
    private static async Task<FaultedSave> StartWithErrorsAsync(
        FaultBench bench, GlusterStorage storage, string name, string calls, int percent, params string[] options)
    {
        await storage.SetAsync("debug.error-failure", percent.ToString(CultureInfo.InvariantCulture));
        await storage.SetAsync("debug.error-fops", calls);
        var save = await FaultedSave.StartAsync(bench, storage.At(name), options);
        await storage.SetAsync("debug.error-gen", "client");
        return save;
    }

    private Task SilenceAsync(string name, Action<GlusterStorage> begin, Action<GlusterStorage> end) => gluster.RunAsync(async (bench, storage) =>
    {
        using var other = PlainFile.Open(storage.At("other"));
        var save = await FaultedSave.StartAsync(bench, storage.At(name), "--max-downtime", "2s");
        begin(storage);
        await save.ExpectPausedAsync("storage-stalled", "storage-error");
        Assert.Equal("ENOTCONN", await other.WriteOnThreadAsync(0).WaitAsync(Wait.Ordinary));
        save.ExpectUnpublished();
        end(storage);
        await save.ExpectCompletedAsync();
    });
}

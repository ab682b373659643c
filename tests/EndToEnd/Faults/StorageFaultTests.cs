using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Saves to storage that is full, read-only, or cannot do what was asked.</summary>
public sealed class StorageFaultTests
{
    private const int Usage = 2;
    private const int Cancelled = 5;
    private const int Storage = 10;

    [RequiresFaultsFact(FaultNeeds.Mount)]
    public async Task A_memory_file_system_without_room_for_the_guest_pauses_the_save_and_is_as_empty_as_before_once_that_is_cancelled() =>
        await FillAsync(MountedFolder.Tmpfs(8));

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task An_ext4_without_room_for_the_guest_pauses_the_save_and_is_as_empty_as_before_once_that_is_cancelled() =>
        await FillAsync(MountedFolder.Ext4(16));

    [RequiresFaultsFact(FaultNeeds.Mount)]
    public async Task A_memory_file_system_that_grows_gets_the_rest_of_the_image()
    {
        await using var storage = MountedFolder.Tmpfs(8);
        await using var bench = new DisposableBench(storage);
        var image = storage.At("a.img");
        var id = await bench.Value.SubmitAsync(await bench.Value.GuestAsync(), image, "1GiB/s");
        await ExpectPausedForSpaceAsync(bench.Value, id, image);
        storage.Resize(64);
        await bench.Value.CompleteAsync(id, image);
    }

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task An_ext4_without_room_for_even_the_first_page_fails_the_save_at_once_and_takes_an_image_once_there_is_space()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        var filler = storage.Fill(leave: 0);
        var before = FolderState.Of(storage.Path);
        await bench.Value.ExpectHarmlessAsync(
            await bench.Value.SaveAsync(storage.At("a.img")), Storage, before, storage.At("a.img"), "no space", "Free space");

        File.Delete(filler);
        (await bench.Value.SaveAsync(storage.At("a.img"))).ExpectOk();
        await bench.Value.ExpectWholeAsync(storage.At("a.img"));
    }

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task An_ext4_that_is_read_only_is_refused_with_the_reason_and_takes_an_image_once_it_is_writable()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        storage.MakeReadOnly();
        var before = FolderState.Of(storage.Path);
        await bench.Value.ExpectHarmlessAsync(
            await bench.Value.SaveAsync(storage.At("a.img")), Storage, before, storage.At("a.img"), "read-only", "Remount it writable");

        storage.MakeWritable();
        (await bench.Value.SaveAsync(storage.At("a.img"))).ExpectOk();
        (await bench.Value.Product.RunAsync("verify", storage.At("a.img"))).ExpectOk();
    }

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task An_ext4_that_becomes_read_only_during_the_copying_pauses_the_save_and_gets_the_rest_after_it_was_mounted_again()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        var guest = await bench.Value.GuestAsync();
        var image = storage.At("a.img");
        await using var save = await bench.Value.StartSlowSaveAsync(guest, image, "1MiB/s");

        storage.Abort();

        await ExpectPausedAsync(bench.Value, save.Id, image, "read-only-storage");

        // Nobody may have a file open there, and the silo keeps those of a paused save.
        await bench.Value.Product.KillSiloAsync();
        await storage.MountAgainAsync();
        await bench.Value.CompleteAsync(save.Id, image);
    }

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task A_save_to_an_ext4_that_became_read_only_is_cancelled_and_says_what_it_could_not_remove()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        var guest = await bench.Value.GuestAsync();
        var image = storage.At("a.img");
        await using var save = await bench.Value.StartSlowSaveAsync(guest, image, "3MiB/s");
        storage.Abort();
        await bench.Value.WaitForPhaseAsync(save.Id, "paused");

        await save.CancelAsync();

        var outcome = await bench.Value.Product.RunAsync("watch", save.Id);
        outcome.ExpectExit(Cancelled);
        Assert.Contains($"{image}.partial is kept", outcome.ErrorOutput, StringComparison.Ordinal);
        await Expect.RunsAtOnceAsync(guest);
        Assert.False(File.Exists(image));
    }

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task An_ext4_that_others_fill_up_during_the_copying_gets_a_whole_image_at_once_or_when_they_have_left()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        var guest = await bench.Value.GuestAsync();
        var image = storage.At("a.img");
        var filler = storage.At("filler");
        await using var save = await bench.Value.StartSlowSaveAsync(guest, image, "4MiB/s");
        using var stop = new CancellationTokenSource();
        var filling = Task.Factory.StartNew(() => Fill(filler, stop.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

        // The pages have their place before; what is written after them finds one only where zero pages gave some back in time.
        var status = await bench.Value.WaitForPhaseAsync(save.Id, phase => phase is "paused" or "completed", "the save is paused or completed");
        if (status.GetProperty("phase").GetString() == "paused")
            await ExpectPausedForSpaceAsync(bench.Value, save.Id, image);
        await stop.CancelAsync();
        await filling;
        File.Delete(filler);
        await bench.Value.CompleteAsync(save.Id, image);
    }

    [RequiresFaultsFact(FaultNeeds.Mount)]
    public async Task A_file_system_without_O_DIRECT_is_refused_when_that_was_asked_for_and_taken_otherwise()
    {
        await using var storage = MountedFolder.Ramfs();
        await using var bench = new DisposableBench(storage);
        var before = FolderState.Of(storage.Path);
        await bench.Value.ExpectHarmlessAsync(
            await bench.Value.SaveAsync(storage.At("a.img"), "--direct-io", "on"), Usage, before, "O_DIRECT", "--direct-io auto or off");
        (await bench.Value.SaveAsync(storage.At("a.img"))).ExpectOk();
        (await bench.Value.Product.RunAsync("verify", storage.At("a.img"))).ExpectOk();
    }

    /// <summary>Writes a file as long as anything fits, and takes what becomes free meanwhile.</summary>
    private static void Fill(string path, CancellationToken stop)
    {
        using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        for (var length = 1 << 20; !stop.IsCancellationRequested;)
        {
            try
            {
                file.Write(new byte[length]);
            }
            catch (IOException)
            {
                // Less may still fit.
                length = Math.Max(4096, length / 2);
                Thread.Yield();
            }
        }
    }

    private static async Task FillAsync(MountedFolder storage)
    {
        await using var owned = storage;
        await using var bench = new DisposableBench(storage);
        var before = FolderState.Of(storage.Path);
        var free = new DriveInfo(storage.Path).AvailableFreeSpace;
        foreach (var directIo in new[] { "auto", "off" })
        {
            var guest = await bench.Value.GuestAsync();
            var id = await bench.Value.SubmitAsync(guest, storage.At("a.img"), "1GiB/s", options: ["--direct-io", directIo]);
            await ExpectPausedForSpaceAsync(bench.Value, id, storage.At("a.img"));
            (await bench.Value.Product.RunAsync("cancel", id)).ExpectOk();
            (await bench.Value.Product.RunAsync("watch", id)).ExpectExit(Cancelled);
            await Expect.RunsAtOnceAsync(guest);
            before.ExpectUnchanged();
        }

        await Wait.UntilAsync(() => new DriveInfo(storage.Path).AvailableFreeSpace == free, "the space of the removed image is free again");
    }

    private static Task ExpectPausedForSpaceAsync(FaultBench bench, string id, string image) => ExpectPausedAsync(bench, id, image, "no-space", "no space", "Free space");

    /// <summary>The save is paused, says why and when it tries again, and keeps its work; the guest runs.</summary>
    private static async Task ExpectPausedAsync(FaultBench bench, string id, string image, string reason, params string[] words)
    {
        var status = await bench.WaitForPhaseAsync(id, "paused");
        Assert.Equal(reason, status.GetProperty("reason").GetString());
        var trouble = status.GetProperty("trouble");
        Assert.Equal(reason, trouble.GetProperty("reason").GetString());
        Assert.True(trouble.GetProperty("next-try").TryGetDateTimeOffset(out _), status.ToString());
        foreach (var word in words)
            Assert.Contains(word, status.GetProperty("message").GetString(), StringComparison.OrdinalIgnoreCase);
        Assert.True(File.Exists(image + ".partial") && File.Exists(image + ".journal"), "The work done is kept.");
        Assert.False(File.Exists(image));
        await Expect.RunsAtOnceAsync(await bench.GuestAsync());
    }
}

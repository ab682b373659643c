using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Saves to storage that is full, read-only, or cannot do what was asked.</summary>
public sealed class StorageFaultTests
{
    private const int Usage = 2;
    private const int Storage = 10;

    [RequiresFaultsFact(FaultNeeds.Mount)]
    public async Task A_memory_file_system_without_room_for_the_guest_fails_the_save_and_is_as_empty_as_before() =>
        await FillAsync(MountedFolder.Tmpfs(8));

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task An_ext4_without_room_for_the_guest_fails_the_save_and_is_as_empty_as_before() => await FillAsync(MountedFolder.Ext4(16));

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
    public async Task An_ext4_that_becomes_read_only_during_the_copying_fails_the_save_and_the_guest_runs_again()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        var guest = await bench.Value.GuestAsync();
        await using var save = await bench.Value.StartSlowSaveAsync(guest, storage.At("a.img"), "512KiB/s");

        storage.Abort();

        var result = await save.WatchAsync(Wait.Ordinary);
        Expect.Failure(result, Storage, storage.At("a.img"));
        await Expect.RunsAtOnceAsync(guest);
        Assert.False(File.Exists(storage.At("a.img")));

        // A read-only file system keeps the partial image, and then the message says so.
        if (File.Exists(storage.At("a.img.partial")))
            Assert.Contains("is kept", result.ErrorOutput, StringComparison.Ordinal);
    }

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task An_ext4_that_others_fill_up_during_the_copying_gets_a_whole_image_or_none_and_then_the_guest_runs()
    {
        await using var storage = MountedFolder.Ext4(64);
        await using var bench = new DisposableBench(storage);
        var guest = await bench.Value.GuestAsync();
        var image = storage.At("a.img");
        var filler = storage.At("filler");
        await using var save = await bench.Value.StartSlowSaveAsync(guest, image, "4MiB/s");
        using var stop = new CancellationTokenSource();
        var filling = Task.Factory.StartNew(() => Fill(filler, stop.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        var result = await save.WatchAsync(Wait.Ordinary);
        await stop.CancelAsync();
        await filling;

        // The pages have their place before; what is written after them finds one only where zero pages gave some back in time.
        if (result.ExitCode == 0)
        {
            (await bench.Value.Product.RunAsync("verify", image)).ExpectOk();
            await Expect.LoadsAsync(image, FaultBench.Recipe);
            return;
        }

        Expect.Failure(result, Storage, "no space", "Free space");
        await Expect.RunsAtOnceAsync(guest);
        Assert.Equal([filler], Directory.EnumerateFiles(storage.Path));
        File.Delete(filler);
        (await bench.Value.SaveAsync(image)).ExpectOk();
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
            await bench.Value.ExpectHarmlessAsync(
                await bench.Value.SaveAsync(storage.At("a.img"), "--direct-io", directIo), Storage, before, storage.At("a.img"), "no space", "Free space");
        }

        await Wait.UntilAsync(() => new DriveInfo(storage.Path).AvailableFreeSpace == free, "the space of the removed image is free again");
        await Expect.RunsAtOnceAsync(await bench.Value.GuestAsync());
    }
}

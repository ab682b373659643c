using DistMigrate.Tests.Lab;
using DistMigrate.Tests.Lab.Storage;
using Xunit.Abstractions;

namespace DistMigrate.Tests.EndToEnd.Faults.Storage;

/// <summary>The signs that a writer on GlusterFS sees of each fault that the Lab makes, and that the same open file works after the repair.</summary>
public sealed class GlusterStorageTests(ITestOutputHelper output)
{
    private const int Blocks = 8;

    [FullFaultsFact(FaultNeeds.Gluster)]
    public async Task A_killed_brick_is_ENOTCONN_at_once_and_after_its_restart_the_same_files_work()
    {
        await using var storage = await GlusterStorage.StartAsync();
        using var buffered = PlainFile.Open(storage.At("buffered"));
        using var direct = PlainFile.Open(storage.At("direct"), direct: true);
        WriteAll(buffered);
        WriteAll(direct);

        storage.KillBrick();
        await ExpectSignAsync(buffered, "ENOTCONN");
        await ExpectSignAsync(direct, "ENOTCONN");

        await storage.RestartBrickAsync();
        await RewriteAsync(buffered, storage.At("buffered"));
        await RewriteAsync(direct, storage.At("direct"));
    }

    [FullFaultsFact(FaultNeeds.Gluster)]
    public async Task A_brick_that_stands_still_for_a_moment_is_a_long_write_and_no_error()
    {
        await using var storage = await GlusterStorage.StartAsync();
        using var file = PlainFile.Open(storage.At("file"));
        WriteAll(file);

        storage.StopBrick();
        var write = file.WriteOnThreadAsync(Blocks);
        await ExpectHangingAsync(write, TimeSpan.FromSeconds(1));
        storage.ContinueBrick();
        Assert.Equal("ok", await write.WaitAsync(Wait.Ordinary));
        PlainFile.ExpectBlocks(storage.At("file"), Blocks + 1);
    }

    [FullFaultsFact(FaultNeeds.Gluster)]
    public async Task A_brick_that_stands_still_for_long_and_a_link_that_is_down_hang_and_then_are_ENOTCONN()
    {
        await using var storage = await GlusterStorage.StartAsync();
        using var file = PlainFile.Open(storage.At("file"));
        foreach (var (name, begin, end) in new (string, Action, Action)[]
        {
            ("stop", storage.StopBrick, storage.ContinueBrick),
            ("link", storage.LinkDown, storage.LinkUp),
        })
        {
            WriteAll(file);
            begin();
            var start = TimeProvider.System.GetTimestamp();
            var write = file.WriteOnThreadAsync(Blocks);
            await ExpectHangingAsync(write, TimeSpan.FromSeconds(1));
            var sign = await write.WaitAsync(Wait.Ordinary);
            output.WriteLine($"{name}: {sign} after {TimeProvider.System.GetElapsedTime(start).TotalSeconds:0.0} s");
            Assert.Equal("ENOTCONN", sign);
            end();
            await storage.WaitUntilWritableAsync();
            await RewriteAsync(file, storage.At("file"));
        }
    }

    [FullFaultsFact(FaultNeeds.Gluster)]
    public async Task A_full_brick_is_ENOSPC_or_a_short_write_and_with_space_the_same_file_holds_everything()
    {
        await using var storage = await GlusterStorage.StartAsync(brickMiB: 64);
        foreach (var name in new[] { "buffered", "direct" })
        {
            using var file = PlainFile.Open(storage.At(name), direct: name == "direct");
            storage.FillBrick(leaveMiB: 2);
            var signs = Enumerable.Range(0, Blocks).Select(file.Write).Append(file.Sync()).Append(file.Sync()).ToList();
            output.WriteLine($"{name}: {string.Join(' ', signs)}");
            Assert.Contains("ENOSPC", signs);
            storage.FreeBrick();
            await RewriteAsync(file, storage.At(name));
        }
    }

    [FullFaultsFact(FaultNeeds.Gluster)]
    public async Task Injected_errors_are_failed_and_short_writes_and_end_when_told()
    {
        await using var storage = await GlusterStorage.StartAsync();
        using var file = PlainFile.Open(storage.At("file"));
        await storage.InjectErrorsAsync("write", percent: 30);
        HashSet<string> seen = [];
        await Wait.UntilAsync(
            () =>
            {
                seen.Add(file.Write(0));
                return seen.Contains("short") && seen.Any(sign => sign is not ("ok" or "short"));
            },
            "a write fails and another is short",
            details: () => string.Join(' ', seen));
        output.WriteLine(string.Join(' ', seen));
        await storage.EndErrorsAsync();
        await RewriteAsync(file, storage.At("file"));
    }

    [FullFaultsFact(FaultNeeds.Gluster)]
    public async Task An_error_can_be_kept_for_fsync()
    {
        await using var storage = await GlusterStorage.StartAsync();
        await storage.InjectErrorsAsync("fsync", percent: 100);
        using (var file = PlainFile.Open(storage.At("file")))
        {
            Assert.Equal("ok", file.Write(0));
            Assert.NotEqual("ok", file.Sync());
        }

        await storage.EndErrorsAsync();
        using var again = PlainFile.Open(storage.At("file"));
        await RewriteAsync(again, storage.At("file"));
    }

    [FullFaultsFact(FaultNeeds.Gluster)]
    public async Task A_file_that_another_host_unlinks_or_replaces_takes_writes_to_nowhere_without_any_error()
    {
        await using var storage = await GlusterStorage.StartAsync();
        var elsewhere = await storage.MountAsync();
        using var file = PlainFile.Open(storage.At("file"));
        WriteAll(file);
        var theirs = Path.Combine(elsewhere, "file");
        await Wait.UntilAsync(() => File.Exists(theirs), "the other host sees the file");

        File.Delete(theirs);
        Assert.Equal("ok", file.WriteAndSync(0));
        await Wait.UntilAsync(() => !File.Exists(storage.At("file")), "the name is gone here as well");

        await File.WriteAllTextAsync(theirs, "theirs");
        Assert.Equal("ok", file.WriteAndSync(1));
        await Wait.UntilAsync(() => File.Exists(storage.At("file")), "the new file is seen here");
        Assert.Equal("theirs", await File.ReadAllTextAsync(storage.At("file")));
    }

    [FullFaultsFact(FaultNeeds.Gluster)]
    public async Task Two_at_once_do_not_meet_and_nothing_is_left_of_them()
    {
        var both = await Task.WhenAll(GlusterStorage.StartAsync(brickMiB: 64), GlusterStorage.StartAsync(brickMiB: 64));
        await File.WriteAllTextAsync(both[0].At("one"), "one");
        both[1].KillBrick();
        Assert.Equal("one", await File.ReadAllTextAsync(both[0].At("one")));
        Assert.Throws<IOException>(() => File.WriteAllText(both[1].At("two"), "two"));

        // One with a brick that is dead, one with a brick that stands still and a file that is open.
        using var file = PlainFile.Open(both[0].At("file"));
        both[0].StopBrick();
        var hanging = file.WriteOnThreadAsync(0);
        foreach (var storage in both)
        {
            await storage.DisposeAsync();
            var folder = Path.GetDirectoryName(storage.Path)!;
            Assert.False(Directory.Exists(folder));
            Assert.DoesNotContain(folder, await File.ReadAllTextAsync("/proc/self/mounts"), StringComparison.Ordinal);
            Assert.Empty(Directory.EnumerateFileSystemEntries("/run/netns", Path.GetFileName(folder) + "*"));
        }

        Assert.NotEqual("ok", await hanging.WaitAsync(Wait.Ordinary));
    }

    private static void WriteAll(PlainFile file)
    {
        for (var number = 0; number < Blocks; number++)
            Assert.Equal("ok", file.Write(number));
        Assert.Equal("ok", file.Sync());
    }

    /// <summary>After a repair an fsync may still tell of the fault; what was written since the last good one is written again.</summary>
    private static async Task RewriteAsync(PlainFile file, string path)
    {
        string? sign = null;
        await Wait.UntilAsync(
            () => (sign = Enumerable.Range(0, Blocks).Select(file.WriteAndSync).FirstOrDefault(result => result != "ok")) is null,
            "every block is written and synced",
            details: () => sign ?? "");
        PlainFile.ExpectBlocks(path, Blocks);
    }

    private static async Task ExpectHangingAsync(Task write, TimeSpan time) =>
        await Assert.ThrowsAsync<TimeoutException>(() => write.WaitAsync(time));

    private async Task ExpectSignAsync(PlainFile file, string sign)
    {
        // A buffered write is taken although nobody is there to store it; fsync tells.
        List<string> signs = [file.Write(Blocks), file.Sync()];
        output.WriteLine(string.Join(' ', signs));
        await Wait.UntilAsync(
            () =>
            {
                signs.Add(file.WriteAndSync(Blocks));
                return signs.Contains(sign);
            },
            $"the sign is {sign}",
            details: () => string.Join(' ', signs));
    }
}

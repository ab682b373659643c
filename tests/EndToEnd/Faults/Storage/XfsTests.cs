using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults.Storage;

/// <summary>The signs that a writer on xfs sees.</summary>
public sealed class XfsTests
{
    private const int MiB = 320;

    [FullFaultsFact(FaultNeeds.Xfs)]
    public async Task A_frozen_xfs_is_a_long_write_and_no_error()
    {
        await using var storage = MountedFolder.Xfs(MiB);
        using var file = PlainFile.Open(storage.At("file"), direct: true);
        Assert.Equal("ok", file.WriteAndSync(0));
        storage.Freeze();
        var write = file.WriteOnThreadAsync(1);
        await Assert.ThrowsAsync<TimeoutException>(() => write.WaitAsync(TimeSpan.FromSeconds(1)));
        storage.Unfreeze();
        Assert.Equal("ok", await write.WaitAsync(Wait.Ordinary));
        PlainFile.ExpectBlocks(storage.At("file"), 2);
    }

    [FullFaultsFact(FaultNeeds.Xfs)]
    public async Task A_full_xfs_is_ENOSPC_and_with_space_the_same_file_works()
    {
        await using var storage = MountedFolder.Xfs(MiB);
        using var file = PlainFile.Open(storage.At("file"), direct: true);
        var filler = storage.At("filler");
        using (var other = PlainFile.Open(filler, direct: true))
        {
            var number = 0;
            while (other.Write(number) == "ok")
                number++;
        }

        // Less than a block may be left, and then the first write is short.
        Assert.Contains("ENOSPC", new[] { file.Write(0), file.Write(1) });
        File.Delete(filler);
        await Wait.UntilAsync(() => file.WriteAndSync(0) == "ok" && file.WriteAndSync(1) == "ok", "the file takes its blocks");
        PlainFile.ExpectBlocks(storage.At("file"), 2);
    }
}

using DistMigrate.Tests.Lab;
using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.EndToEnd.Faults.Storage;

/// <summary>The signs that a writer on sshfs sees.</summary>
public sealed class SshfsStorageTests
{
    [FullFaultsFact(FaultNeeds.Sshfs)]
    public async Task A_killed_server_is_ENOTCONN_and_after_its_restart_the_file_must_be_opened_again()
    {
        await using var storage = await SshfsStorage.StartAsync();
        using (var file = PlainFile.Open(storage.At("file")))
        {
            Assert.Equal("ok", file.WriteAndSync(0));
            storage.KillServer();
            await Wait.UntilAsync(() => file.WriteAndSync(1) == "ENOTCONN", "the sign is ENOTCONN");
            await storage.RestartServerAsync();
            Assert.Equal("ENOTCONN", file.WriteAndSync(1));
        }

        using var again = PlainFile.Open(storage.At("file"));
        Assert.Equal("ok", again.WriteAndSync(1));
        PlainFile.ExpectBlocks(storage.At("file"), 2);
    }

    [FullFaultsFact(FaultNeeds.Sshfs)]
    public async Task A_server_that_stands_still_is_a_long_write_and_no_error()
    {
        await using var storage = await SshfsStorage.StartAsync();
        using var file = PlainFile.Open(storage.At("file"));
        Assert.Equal("ok", file.WriteAndSync(0));
        storage.StopServer();
        var write = file.WriteOnThreadAsync(1);
        await Assert.ThrowsAsync<TimeoutException>(() => write.WaitAsync(TimeSpan.FromSeconds(1)));
        storage.ContinueServer();
        Assert.Equal("ok", await write.WaitAsync(Wait.Ordinary));
        PlainFile.ExpectBlocks(storage.At("file"), 2);
    }

    [FullFaultsFact(FaultNeeds.Sshfs)]
    public async Task A_file_that_is_unlinked_on_the_server_takes_writes_to_nowhere_without_any_error()
    {
        await using var storage = await SshfsStorage.StartAsync();
        using var file = PlainFile.Open(storage.At("file"));
        Assert.Equal("ok", file.WriteAndSync(0));
        File.Delete(Path.Combine(storage.ServerFolder, "file"));
        Assert.Equal("ok", file.WriteAndSync(1));
        Assert.Empty(Directory.EnumerateFiles(storage.ServerFolder));
    }
}

using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.EndToEnd.Faults.Storage;

/// <summary>Saves to an sshfs whose server ends or stands still in the middle.</summary>
public sealed class SshfsSaveTests
{
    [FullFaultsFact(FaultNeeds.Sshfs)]
    public async Task A_server_that_is_killed_pauses_the_save_and_it_completes_on_files_that_are_opened_anew()
    {
        await using var storage = await SshfsStorage.StartAsync();
        await using var bench = ShortEpochsOn(storage);
        var save = await FaultedSave.StartAsync(bench, storage.At("a.img"), "--max-downtime", "1s");
        storage.KillServer();
        await save.ExpectPausedAsync("storage-error");
        await storage.RestartServerAsync();
        await save.ExpectCompletedAsync();
    }

    [FullFaultsFact(FaultNeeds.Sshfs)]
    public async Task A_server_that_stands_still_pauses_the_save_and_it_completes_by_itself_once_the_server_goes_on()
    {
        await using var storage = await SshfsStorage.StartAsync();
        await using var bench = ShortEpochsOn(storage);
        var save = await FaultedSave.StartAsync(bench, storage.At("a.img"), "--max-downtime", "1s");
        storage.StopServer();
        try
        {
            await save.ExpectPausedAsync("storage-stalled");
        }
        finally
        {
            storage.ContinueServer();
        }

        await save.ExpectCompletedAsync();
    }

    private static FaultBench ShortEpochsOn(SshfsStorage storage)
    {
        var bench = new FaultBench();
        bench.Product.Settings["DISTMIGRATE_Limits__EpochTime"] = "00:00:01";
        bench.Product.Settings["DISTMIGRATE_Storage__Roots__1"] = storage.Path;
        return bench;
    }
}

using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults.Storage;

/// <summary>Storage that has other bytes in a durable page than were written there: it was rolled back, or somebody wrote into the partial image.</summary>
public sealed class OldDataTests : IClassFixture<ShortEpochs>, IAsyncLifetime
{
    private const string Block = "pc.ram";

    private readonly FaultBench _bench;

    public OldDataTests(ShortEpochs fixture) => _bench = fixture.Bench;

    public Task InitializeAsync() => _bench.ResetAsync();

    public Task DisposeAsync() => Task.CompletedTask;

    [FullFaultsFact(FaultNeeds.None)]
    public async Task Pages_that_changed_on_storage_while_the_save_was_paused_are_written_again_after_it_is_resumed() => await ChangeAsync(killed: false);

    [FullFaultsFact(FaultNeeds.None)]
    public async Task Pages_that_changed_on_storage_while_no_silo_ran_are_written_again_by_the_next_one() => await ChangeAsync(killed: true);

    private async Task ChangeAsync(bool killed)
    {
        var guest = await _bench.GuestAsync();
        var reference = _bench.Product.Image("reference.img");
        (await _bench.SaveAsync(reference)).ExpectOk();
        var pagesOffset = ImageOracle.Layout(reference).Single(block => block.Name == Block).PagesOffset;
        await _bench.RemoveAsync(reference);

        // A guest that stands still writes none of its pages again by itself.
        await guest.PauseAsync();
        var image = _bench.Product.Image("old.img");
        var save = await FaultedSave.SubmitAsync(_bench, image, "2MiB/s");
        await _bench.WaitUntilDurableAsync(pages: 1000);
        (await _bench.Product.RunAsync("pause", save.Id)).ExpectOk();
        await _bench.WaitForPhaseAsync(save.Id, "paused");
        if (killed)
            await _bench.Product.KillSiloAsync();
        ChangeSomePages(image + ".partial", pagesOffset);
        (await _bench.Product.RunAsync("resume", save.Id, "--detach")).ExpectOk();
        await save.ExpectCompletedAsync();
    }

    private static void ChangeSomePages(string path, long pagesOffset)
    {
        // .NET's own open would ask for the lock that the silo has.
        using var file = PlainFile.Open(path);
        file.Write(checked((int)(pagesOffset / PlainFile.BlockLength)) + 1);
    }
}

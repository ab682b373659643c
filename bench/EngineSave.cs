using DistMigrate.Guests;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Transfer;

namespace DistMigrate.Bench;

/// <summary>A save by the engine in this process, without grains.</summary>
internal static class EngineSave
{
    /// <summary>Saves a stopped guest, and leaves it and its image.</summary>
    public static Task RunAsync(
        BenchGuest guest, string image, string local, WriterOptions writer, Action afterStep, CancellationToken cancellationToken) =>
        RunAsync("bench", guest.Qemu.QmpSocket, QemuGuest.Connector, image, local, writer, afterStep, cancellationToken);

    /// <summary>Saves a guest, and leaves it and its image.</summary>
    /// <param name="name">The name of guest and migration.</param>
    /// <param name="qmpPath">Its monitor.</param>
    /// <param name="connect">Connects to it.</param>
    /// <param name="image">Where to.</param>
    /// <param name="local">A folder for locks and stop records.</param>
    /// <param name="writer">How pages are written.</param>
    /// <param name="afterStep">Called after each step of <see cref="StepTimes.Names"/>.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task RunAsync(
        string name, string qmpPath, GuestConnector connect, string image, string local, WriterOptions writer, Action afterStep,
        CancellationToken cancellationToken)
    {
        var stops = new StopRecords(Path.Combine(local, "stops"), TimeProvider.System);
        var plan = new SavePlan(name, "bench", name, qmpPath, image, Overwrite: false, AfterPublication.Pause, writer, LaunchFolder: "", Request: "");
        await using var attempt = new SaveAttempt(plan, stops, local, connect, TimeProvider.System);
        try
        {
            await attempt.OpenAsync(new JournalToken(1, Guid.NewGuid()), cancellationToken);
            afterStep();
            var blocks = attempt.RamBlocks.Select(name => attempt.FindBlock(name)!).ToArray();
            afterStep();
            await attempt.StopGuestAsync(cancellationToken);
            afterStep();
            foreach (var block in blocks)
                attempt.Iterate(block, 1);
            await Task.WhenAll(blocks.Select(block => block.Settled)).WaitAsync(cancellationToken);
            if (blocks.Select(block => block.Snapshot().Error).FirstOrDefault(error => error is not null) is { } error)
                throw new InvalidOperationException($"A RAMBlock could not be written: {error.Message}", error);
            afterStep();
            await attempt.TakeDeviceStateAsync(cancellationToken);
            afterStep();
            foreach (var block in blocks)
                await attempt.HandOverAsync(block);
            afterStep();
            await attempt.PublishAsync();
            afterStep();
            stops.Forget(name);
        }
        catch
        {
            await attempt.AbortAsync(CancellationToken.None);
            throw;
        }
    }
}

using System.Globalization;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Transfer;

namespace DistMigrate.Bench;

/// <summary>The steps of the engine in this process, without grains: where a save's time goes.</summary>
internal static class StepsBench
{
    public static async Task RunAsync(BenchOptions options, CancellationToken cancellationToken)
    {
        const int sparseMiB = 4096;
        const int sparseUsedMiB = 100;
        List<(string Name, StepTimes Times)> guests = [];
        await using (var guest = await BenchGuest.StartAsync(options.MiB, GuestFill.Contiguous(options.UsedMiB), cancellationToken))
            guests.Add((Name(options.MiB, options.UsedMiB), await MeasureAsync(guest, options, cancellationToken)));
        await using (var guest = await BenchGuest.StartAsync(sparseMiB, GuestFill.Contiguous(sparseUsedMiB), cancellationToken))
            guests.Add((Name(sparseMiB, sparseUsedMiB), await MeasureAsync(guest, options, cancellationToken)));
        MarkdownTable.Write(
            $"Steps of the engine without grains, median of {options.Rounds} rounds, milliseconds",
            ["step", .. guests.Select(guest => guest.Name)],
            [
                .. StepTimes.Names.Select((name, i) => (string[])[name, .. guests.Select(guest => Milliseconds(guest.Times.Steps[i].Median))]),
                ["sum of medians", .. guests.Select(guest => Milliseconds(guest.Times.Steps.Sum(step => step.Median)))],
            ]);
    }

    private static string Name(int mib, int usedMiB) => $"{mib} MiB, {usedMiB} in use";

    private static string Milliseconds(double seconds) => (seconds * 1000).ToString("0.0", CultureInfo.InvariantCulture);

    private static async Task<StepTimes> MeasureAsync(BenchGuest guest, BenchOptions options, CancellationToken cancellationToken)
    {
        var times = new StepTimes();
        var scratch = new ScratchImages(options.Folder);
        var local = Directory.CreateTempSubdirectory("dm-bench-steps-").FullName;
        try
        {
            // Round 0 warms up.
            for (var round = 0; round <= options.Rounds; round++)
            {
                await guest.ResetAsync(cancellationToken);
                times.Begin(round > 0);
                await SaveAsync(guest, scratch.Path, local, times, cancellationToken);
                await scratch.DeleteAsync(cancellationToken);
            }
        }
        finally
        {
            Directory.Delete(local, recursive: true);
        }

        return times;
    }

    private static async Task SaveAsync(BenchGuest guest, string image, string local, StepTimes times, CancellationToken cancellationToken)
    {
        var stops = new StopRecords(Path.Combine(local, "stops"), TimeProvider.System);
        var plan = new SavePlan("bench", "bench", "bench", guest.Qemu.QmpSocket, image, Overwrite: false, AfterPublication.Pause, new WriterOptions(), Request: "");
        await using var attempt = new SaveAttempt(plan, stops, local, TimeProvider.System);
        try
        {
            await attempt.OpenAsync(new JournalToken(1, Guid.NewGuid()), cancellationToken);
            times.Next();
            var blocks = attempt.RamBlocks.Select(name => attempt.FindBlock(name)!).ToArray();
            times.Next();
            await attempt.StopGuestAsync(cancellationToken);
            times.Next();
            foreach (var block in blocks)
                attempt.Iterate(block, 1);
            await Task.WhenAll(blocks.Select(block => block.Settled)).WaitAsync(cancellationToken);
            if (blocks.Select(block => block.Snapshot().Error).FirstOrDefault(error => error is not null) is { } error)
                throw new InvalidOperationException($"A RAMBlock could not be written: {error.Message}", error);
            times.Next();
            await attempt.TakeDeviceStateAsync(cancellationToken);
            times.Next();
            foreach (var block in blocks)
                await attempt.HandOverAsync(block);
            times.Next();
            await attempt.PublishAsync();
            times.Next();
            stops.Forget("bench");
        }
        catch
        {
            await attempt.AbortAsync(CancellationToken.None);
            throw;
        }
    }
}

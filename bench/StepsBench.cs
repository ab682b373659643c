using System.Globalization;
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
                await EngineSave.RunAsync(guest, scratch.Path, local, new WriterOptions(), times.Next, cancellationToken);
                await scratch.DeleteAsync(cancellationToken);
            }
        }
        finally
        {
            Directory.Delete(local, recursive: true);
        }

        return times;
    }
}

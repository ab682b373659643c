using System.Globalization;

namespace DistMigrate.Bench;

/// <summary>A large guest of which little is in use: what a save costs beside its bytes.</summary>
internal static class SparseBench
{
    private const int MiB = 4096;
    private const int UsedMiB = 100;
    private const int LeastRounds = 7;

    public static async Task RunAsync(BenchOptions options, CancellationToken cancellationToken)
    {
        var rounds = Math.Max(options.Rounds, LeastRounds);
        await using var product = await Product.StartAsync(options.Folder, cancellationToken);
        List<string[]> rows =
        [
            await MeasureAsync("contiguous", GuestFill.Contiguous(UsedMiB), product, rounds, options.Folder, cancellationToken),
            await MeasureAsync("in pieces of 1 MiB", GuestFill.Scattered(MiB, UsedMiB), product, rounds, options.Folder, cancellationToken),
        ];
        MarkdownTable.Write(
            $"Saves of a stopped guest of {MiB} MiB with {UsedMiB} MiB in use, {rounds} rounds, seconds; target in the silo <= 0.3",
            ["memory in use", "in the silo: median", "min", "max", "before its start", "downtime", "command: median", "MiB in use"],
            rows);
    }

    private static async Task<string[]> MeasureAsync(
        string name, GuestFill fill, Product product, int rounds, string folder, CancellationToken cancellationToken)
    {
        await using var guest = await BenchGuest.StartAsync(MiB, fill, cancellationToken);
        var scratch = new ScratchImages(folder);
        var (inSilo, queued, downtime, wall) = (new Samples(), new Samples(), new Samples(), new Samples());
        var bytes = 0L;

        // Round 0 warms up; its image is checked.
        for (var round = 0; round <= rounds; round++)
        {
            await guest.ResetAsync(cancellationToken);
            var save = await product.SaveAsync(guest.Qemu, scratch.Path, [], cancellationToken);
            bytes = save.PageBytes;
            if (round == 0)
            {
                await product.VerifyAsync(scratch.Path, cancellationToken);
            }
            else
            {
                inSilo.Add(save.InSilo);
                queued.Add(save.Queued);
                downtime.Add(save.Downtime);
                wall.Add(save.Wall);
            }

            await scratch.DeleteAsync(cancellationToken);
        }

        return
        [
            name, Samples.Seconds(inSilo.Median), Samples.Seconds(inSilo.Min), Samples.Seconds(inSilo.Max), Samples.Seconds(queued.Median),
            Samples.Seconds(downtime.Median), Samples.Seconds(wall.Median), (bytes / 1048576.0).ToString("0.0", CultureInfo.InvariantCulture),
        ];
    }
}

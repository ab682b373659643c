using System.Globalization;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Bench;

/// <summary>One stopped guest, saved by the product and by QEMU in turn, and its bytes written by fio.</summary>
internal static class SavesBench
{
    public static async Task RunAsync(BenchOptions options, CancellationToken cancellationToken)
    {
        await using var guest = await BenchGuest.StartAsync(options.MiB, GuestFill.Contiguous(options.UsedMiB), cancellationToken);
        await using var product = await Product.StartAsync(options.Folder, cancellationToken);
        var scratch = new ScratchImages(options.Folder);

        // The first save warms the silo up; it is checked and not counted.
        var first = await product.SaveAsync(guest.Qemu, scratch.Path, [], cancellationToken);
        await product.VerifyAsync(scratch.Path, cancellationToken);
        await scratch.DeleteAsync(cancellationToken);

        var ours = SaveWay.OfProduct("distmigrate", product, guest);
        var mappedRam = SaveWay.OfQemu("QEMU mapped-ram", guest, FileMigration.Plain);
        SaveWay[] qemu =
        [
            SaveWay.OfQemu("QEMU plain stream", guest, FileMigration.Stream),
            mappedRam,
            SaveWay.OfQemu("QEMU mapped-ram, multifd 2", guest, FileMigration.Multifd with { MultifdChannels = 2 }),
            SaveWay.OfQemu("QEMU mapped-ram, multifd 4", guest, FileMigration.Multifd),
            SaveWay.OfQemu("QEMU mapped-ram, multifd 2, direct-io", guest, FileMigration.MultifdDirect with { MultifdChannels = 2 }),
            SaveWay.OfQemu("QEMU mapped-ram, multifd 4, direct-io", guest, FileMigration.MultifdDirect),
        ];
        var fio = SaveWay.OfFio("fio O_DIRECT 1 MiB depth 4", first.PageBytes, endWithFsync: false);
        var fioSynced = SaveWay.OfFio("fio, the same with end_fsync", first.PageBytes, endWithFsync: true);
        SaveWay[] ways = [ours, SaveWay.OfProduct("distmigrate --direct-io off", product, guest, "--direct-io", "off"), .. qemu, fio, fioSynced];

        var figures = ways.ToDictionary(way => way, _ => new SaveFigures());
        for (var round = 0; round < options.Rounds; round++)
        {
            for (var i = 0; i < ways.Length; i++)
            {
                var way = ways[(i + round) % ways.Length];
                await guest.ResetAsync(cancellationToken);
                var times = await way.RunAsync(scratch.Path, cancellationToken);
                if (times.Bytes < first.PageBytes * 0.99)
                    throw new InvalidOperationException($"{way.Name} wrote {times.Bytes} bytes of pages where the guest has {first.PageBytes}.");
                figures[way].Add(times);
                await scratch.DeleteAsync(cancellationToken);
            }

            await Console.Error.WriteLineAsync($"round {round + 1} of {options.Rounds}");
        }

        // fio without its fsync has no second figure, fio with it no first.
        MarkdownTable.Write(
            string.Create(CultureInfo.InvariantCulture,
                $"Saves of a stopped guest, {options.MiB} MiB, {first.PageBytes >> 20} MiB in use, {options.Rounds} rounds, seconds"),
            ["way", "as shipped: median", "min", "with fsync: median", "min", "MB/s", "command: median"],
            [
                .. ways.Select(way => figures[way].ToRow(way.Name, first.PageBytes, hasShipped: way != fioSynced, hasSynced: way != fio)),
            ]);
        Console.WriteLine(
            """
            Ours is the time in the silo, from start to end as its status has them; it hashes and fsyncs always. QEMU's is the time between its
            events "setup" and "completed", and with fsync up to the end of an fsync that follows at once. fio's is its own run time; it has
            allocated its file before. MB/s is of the durable save where there is one. Between two runs the file is deleted and the file system synced.

            """);
        Summarize("with fsync on both sides", figures[ours].Synced, [.. qemu.Select(way => (way.Name, figures[way].Synced))], figures[mappedRam].Synced, figures[fioSynced].Synced, hasTargets: true);
        Summarize("as shipped (ours with fsync, the others without)", figures[ours].AsShipped, [.. qemu.Select(way => (way.Name, figures[way].AsShipped))], figures[mappedRam].AsShipped, figures[fio].AsShipped, hasTargets: false);
    }

    private static void Summarize(
        string heading, Samples ours, IReadOnlyList<(string Name, Samples Times)> qemu, Samples mappedRam, Samples fio, bool hasTargets)
    {
        var best = qemu.MinBy(way => way.Times.Median);
        string[] Row(string what, double ofMedians, double ofRounds, string target) =>
            [what, ofMedians.ToString("0.00", CultureInfo.InvariantCulture), ofRounds.ToString("0.00", CultureInfo.InvariantCulture), hasTargets ? target : ""];
        MarkdownTable.Write(
            $"Ratios {heading}",
            ["ratio", "of medians", "median of the rounds'", "target"],
            [
                Row($"our time / QEMU's fastest ({best.Name})", ours.Median / best.Times.Median, ours.MedianRatioTo(best.Times), "<= 0.70"),
                Row("our time / QEMU mapped-ram", ours.Median / mappedRam.Median, ours.MedianRatioTo(mappedRam), "<= 0.35"),
                Row("our bandwidth / fio's", fio.Median / ours.Median, fio.MedianRatioTo(ours), ">= 0.90"),
            ]);
    }
}

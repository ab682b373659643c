using System.Diagnostics;
using System.Globalization;
using DistMigrate.Posix;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Bench;

/// <summary>A running guest that dirties its memory at several rates, saved by the product and by QEMU in turn.</summary>
internal static class LiveBench
{
    private static readonly int[] Rates = [0, 100, 400];

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    public static async Task RunAsync(BenchOptions options, CancellationToken cancellationToken)
    {
        await using var product = await Product.StartAsync(options.Folder, cancellationToken);
        var scratch = new ScratchImages(options.Folder);
        List<string[]> rows = [];
        foreach (var rate in Rates)
            rows.AddRange(await MeasureAsync(options, rate, product, scratch, cancellationToken));
        MarkdownTable.Write(
            string.Create(CultureInfo.InvariantCulture, $"Live saves of a guest of {options.MiB} MiB, {options.UsedMiB} MiB in use, with {(options.Kvm ? "KVM" : "TCG")}, {options.Rounds} rounds, medians"),
            ["dirtied", "way", "as shipped, s", "with fsync, s", "downtime, ms", "converged"], [.. rows]);
        Console.WriteLine(
            """
            Ours is a save with --then run: the total from its start to its end in the silo, the downtime from the guest's stop to its cont, with everything fsynced, checked and
            published in between. QEMU's figures are its own total-time and downtime, without any fsync, and with one that follows at once. A way that has not ended after 120 s is
            cancelled.

            """);
    }

    private static async Task<IEnumerable<string[]>> MeasureAsync(
        BenchOptions options, int rate, Product product, ScratchImages scratch, CancellationToken cancellationToken)
    {
        var recipe = new GuestRecipe
        {
            Boot = new DirtierBoot { LowerMiB = GuestFill.FirstMiB, UpperMiB = GuestFill.FirstMiB + options.UsedMiB, MiBPerSecond = rate },
            Memory = MemoryKind.SharedFile,
            MiB = options.MiB,
            Kvm = options.Kvm,
        };
        await using var guest = await QemuProcess.StartAsync(recipe, cancellationToken);
        await guest.WaitUntilReadyAsync(Limit, cancellationToken);
        using (var ram = Libc.Open(Path.Combine(guest.MemoryFolder, "pc.ram"), OpenFlags.ReadWrite))
            GuestFill.Contiguous(options.UsedMiB).WriteTo(ram);
        (string Name, Func<Task<LiveTimes?>> Run)[] ways =
        [
            ("distmigrate stream", () => OfProductAsync(product, guest, scratch.Path, ["--mode", "stream", "--streams", "1"], cancellationToken)),
            ("distmigrate stream, multifd 2", () => OfProductAsync(product, guest, scratch.Path, ["--mode", "stream", "--streams", "2"], cancellationToken)),
            ("distmigrate compare", () => OfProductAsync(product, guest, scratch.Path, ["--mode", "compare"], cancellationToken)),
            ("distmigrate snapshot", () => OfProductAsync(product, guest, scratch.Path, ["--mode", "snapshot"], cancellationToken)),
            ("QEMU mapped-ram", () => OfQemuAsync(guest, scratch.Path, FileMigration.Plain, cancellationToken)),
            ("QEMU mapped-ram, multifd 4", () => OfQemuAsync(guest, scratch.Path, FileMigration.Multifd, cancellationToken)),
            ("QEMU mapped-ram, multifd 4, direct-io", () => OfQemuAsync(guest, scratch.Path, FileMigration.MultifdDirect, cancellationToken)),
        ];
        var measured = ways.ToDictionary(way => way.Name, _ => new List<LiveTimes>());
        for (var round = 0; round < options.Rounds; round++)
        {
            for (var i = 0; i < ways.Length; i++)
            {
                var way = ways[(i + round) % ways.Length];
                if (await way.Run() is { } times)
                    measured[way.Name].Add(times);
                await scratch.DeleteAsync(cancellationToken);
            }

            await Console.Error.WriteLineAsync($"{rate} MiB/s, round {round + 1} of {options.Rounds}");
        }

        return ways.Select(way => new[]
        {
            string.Create(CultureInfo.InvariantCulture, $"{rate} MiB/s"), way.Name,
            Samples.Seconds(MedianOf(measured[way.Name], times => times.Total)),
            Samples.Seconds(MedianOf(measured[way.Name], times => times.Synced)),
            measured[way.Name].Count == 0 ? "" : (MedianOf(measured[way.Name], times => times.Downtime) * 1000).ToString("0", CultureInfo.InvariantCulture),
            string.Create(CultureInfo.InvariantCulture, $"{measured[way.Name].Count} of {options.Rounds}"),
        });
    }

    private static double MedianOf(List<LiveTimes> measured, Func<LiveTimes, TimeSpan> time) => Samples.MedianOf(measured.Select(times => time(times).TotalSeconds));

    private static async Task<LiveTimes?> OfProductAsync(
        Product product, QemuProcess guest, string image, string[] mode, CancellationToken cancellationToken)
    {
        try
        {
            var save = await product.SaveAsync(guest, image, [.. mode, "--then", "run"], cancellationToken);
            return new LiveTimes(save.InSilo, save.InSilo, save.Downtime);
        }
        catch (InvalidOperationException e) when (e.Message.Contains("not-converging", StringComparison.Ordinal))
        {
            return null;
        }
    }

    private static async Task<LiveTimes?> OfQemuAsync(
        QemuProcess guest, string image, FileMigration way, CancellationToken cancellationToken)
    {
        var outcome = await QemuSave.SaveLiveAsync(guest, image, way, Limit, cancellationToken);
        if (!outcome.Completed)
            return null;
        var began = Stopwatch.GetTimestamp();
        using (var file = Libc.Open(image, OpenFlags.ReadWrite))
            Libc.FSync(file);
        var sync = Stopwatch.GetElapsedTime(began);
        var statistics = outcome.Statistics;
        var total = TimeSpan.FromMilliseconds(statistics.GetProperty("total-time").GetInt64());
        await guest.ContinueAsync(cancellationToken);
        return new LiveTimes(total, total + sync, TimeSpan.FromMilliseconds(statistics.GetProperty("downtime").GetInt64()));
    }

    /// <param name="Total">Until it says that it is done.</param>
    /// <param name="Synced">Until its bytes are durable as well.</param>
    /// <param name="Downtime">How long the guest stood still.</param>
    private sealed record LiveTimes(TimeSpan Total, TimeSpan Synced, TimeSpan Downtime);
}

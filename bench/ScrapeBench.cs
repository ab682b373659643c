using System.Globalization;
using System.Text.RegularExpressions;
using DistMigrate.Contracts;

namespace DistMigrate.Bench;

/// <summary>What Prometheus costs a silo with many saves under way: real grains and engines, guests that are synthetic and stand still.</summary>
internal static partial class ScrapeBench
{
    private const int Migrations = 100;
    private const int WarmUp = 20;
    private const int Scrapes = 100;

    /// <summary>The endpoint answers from a cache for 0.3 s.</summary>
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(400);

    public static async Task RunAsync(BenchOptions options, CancellationToken cancellationToken)
    {
        await using var cluster = await ControlCluster.StartAsync(silos: 1, options.Folder, cancellationToken, places: Migrations);
        var grains = await cluster.ConnectAsync(cancellationToken);
        using var http = new HttpClient();
        var idle = await MeasureAsync(cluster, http, cancellationToken);
        var ids = Enumerable.Range(0, Migrations).Select(i => $"m-{i}").ToList();
        await Parallel.ForEachAsync(ids, cancellationToken, async (id, _) => await grains.GetGrain<IHostGrain>(cluster.Hosts[0].Name).Submit(
            new MigrationRequest(
                MigrationKind.Save, id.Replace('m', 'g'), SyntheticGuest.PathOf(SyntheticGuest.Wide, int.Parse(id[2..], CultureInfo.InvariantCulture)),
                Path.Combine(options.Folder, $"{id}.img"), new SaveOptions(), null),
            id));
        foreach (var id in ids)
        {
            while ((await grains.GetGrain<IMigrationGrain>(id).GetStatus()).Phase != MigrationPhase.Device)
                await Task.Delay(TimeSpan.FromMilliseconds(50), cancellationToken);
        }

        var busy = await MeasureAsync(cluster, http, cancellationToken);
        MarkdownTable.Write(
            $"A scrape of /metrics, {Scrapes} in each row",
            ["", "series", "KiB", "p50, ms", "p99, ms", "processor time of the silo, ms", "allocated by the silo, KiB"],
            [Row("idle silo", idle), Row($"{Migrations} saves x {2 * SyntheticGuest.RamBlockCount} RAMBlocks under way", busy)]);

        static string[] Row(string name, Figures figures) =>
        [
            name, $"{figures.Series}", $"{figures.Bytes / 1024}", Number(figures.Times.Quantile(0.5)), Number(figures.Times.Quantile(0.99)),
            Number(figures.Cpu.TotalMilliseconds / Scrapes), Number(figures.Allocated / 1024 / Scrapes),
        ];
    }

    private static async Task<Figures> MeasureAsync(ControlCluster cluster, HttpClient http, CancellationToken cancellationToken)
    {
        var times = new Samples();
        var cpu = TimeSpan.Zero;
        var (text, allocated) = ("", 0.0);
        for (var i = 0; i < WarmUp + Scrapes; i++)
        {
            await Task.Delay(Pace, cancellationToken);
            if (i == WarmUp)
                allocated = AllocatedIn(text);
            var before = cluster.Hosts[0].Cpu;
            var began = TimeProvider.System.GetTimestamp();
            text = await http.GetStringAsync(cluster.Metrics[0], cancellationToken);
            if (i < WarmUp)
                continue;
            times.Add(TimeProvider.System.GetElapsedTime(began).TotalMilliseconds);
            cpu += cluster.Hosts[0].Cpu - before;
        }

        return new Figures(text.Split('\n').Count(line => line.Length > 0 && line[0] != '#'), text.Length, times, cpu, AllocatedIn(text) - allocated);
    }

    private static double AllocatedIn(string text) => double.Parse(Allocated().Match(text).Groups[1].ValueSpan, CultureInfo.InvariantCulture);

    private static string Number(double number) => number.ToString("0.0", CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^dotnet_gc_heap_total_allocated_bytes_total\{[^}]*\} ([0-9.e+]+)", RegexOptions.Multiline)]
    private static partial Regex Allocated();

    private sealed record Figures(int Series, int Bytes, Samples Times, TimeSpan Cpu, double Allocated);
}

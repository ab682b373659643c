using System.Globalization;
using System.Text.Json;

namespace DistMigrate.Bench;

/// <summary>An image of a large guest from which it is run lazily, and, for comparison, by a load of the whole.</summary>
internal static class LazyBench
{
    public static async Task RunAsync(BenchOptions options, CancellationToken cancellationToken)
    {
        await using var product = await Product.StartAsync(options.Folder, cancellationToken);
        var image = Path.Combine(options.Folder, "lazy.img");

        // Its QEMU ends with the save; its boot disk is needed for as long as it is run anew.
        await using var guest = await BenchGuest.StartAsync(options.MiB, GuestFill.Contiguous(options.UsedMiB), cancellationToken);
        await product.SaveAsync(guest.Qemu, image, ["--then", "quit"], cancellationToken);
        var (lazy, full) = ((Whole: new Samples(), Load: new Samples()), (Whole: new Samples(), Load: new Samples()));
        for (var round = 0; round < options.Rounds; round++)
        {
            await RestoreAsync(product, image, ["--lazy"], lazy, cancellationToken);
            await RestoreAsync(product, image, [], full, cancellationToken);
        }

        MarkdownTable.Write(
            string.Create(CultureInfo.InvariantCulture, $"restore --on of a guest of {options.MiB} MiB, {options.UsedMiB} MiB in use, {options.Rounds} rounds, medians"),
            ["way", "from the migration's start to the running guest, with the launch of its QEMU, ms", "from the waiting QEMU to the running guest, ms"],
            [["--lazy", Milliseconds(lazy.Whole), Milliseconds(lazy.Load)], ["whole", Milliseconds(full.Whole), Milliseconds(full.Load)]]);

        static string Milliseconds(Samples samples) => (samples.Median * 1000).ToString("0", CultureInfo.InvariantCulture);
    }

    private static async Task RestoreAsync(
        Product product, string image, IReadOnlyList<string> options, (Samples Whole, Samples Load) times, CancellationToken cancellationToken)
    {
        const string name = "restored";
        var (output, _) = await product.RunAsync(
            ["restore", image, "--guest", name, "--on", Environment.MachineName, "--ignore-claim", "--output", "json", .. options], cancellationToken);
        using var document = JsonDocument.Parse(output);
        await product.EndLaunchedAsync(name);
        var restored = document.RootElement;
        times.Whole.Add(restored.GetProperty("ended").GetDateTimeOffset() - restored.GetProperty("started").GetDateTimeOffset());
        times.Load.Add(TimeSpan.FromSeconds(restored.GetProperty("downtime-parts").EnumerateArray().Sum(part => part.GetProperty("time").GetDouble())));
    }
}

using System.Globalization;

namespace DistMigrate.Bench;

/// <summary>The silo's resident memory, idle and at its peak during a save.</summary>
internal static class MemoryBench
{
    private const long MiB = 1 << 20;

    public static async Task RunAsync(BenchOptions options, CancellationToken cancellationToken)
    {
        await using var guest = await BenchGuest.StartAsync(options.MiB, GuestFill.Contiguous(options.UsedMiB), cancellationToken);
        await using var product = await Product.StartAsync(options.Folder, cancellationToken);
        var scratch = new ScratchImages(options.Folder);
        List<string[]> rows = [];
        foreach (var name in (string[])["first save of a fresh silo", "second save", "third save"])
        {
            await guest.ResetAsync(cancellationToken);
            var idle = product.Memory("VmRSS");
            product.ResetPeak();
            await product.SaveAsync(guest.Qemu, scratch.Path, [], cancellationToken);
            var peak = product.Memory("VmHWM");
            await scratch.DeleteAsync(cancellationToken);
            rows.Add([name, Format(idle), Format(peak), Format(peak - idle)]);
        }

        MarkdownTable.Write(
            string.Create(CultureInfo.InvariantCulture,
                $"Memory of the silo, MiB, guest of {options.MiB} MiB; target beyond idle <= {64 + (options.MiB * 0.005):0.0}"),
            ["save", "idle VmRSS", "peak VmHWM", "beyond idle"],
            rows);
    }

    private static string Format(long bytes) => (bytes / (double)MiB).ToString("0.0", CultureInfo.InvariantCulture);
}

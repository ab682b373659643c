using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using DistMigrate.Posix;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Bench;

/// <summary>One way to bring a stopped guest's pages into a file.</summary>
/// <param name="Name">Its row in the table.</param>
/// <param name="RunAsync">Does it once, into a file that does not exist.</param>
internal sealed record SaveWay(string Name, Func<string, CancellationToken, Task<SaveTimes>> RunAsync)
{
    /// <summary>The product, which always fsyncs.</summary>
    public static SaveWay OfProduct(string name, Product product, BenchGuest guest, params string[] options) => new(name, async (path, cancellation) =>
    {
        var save = await product.SaveAsync(guest.Qemu, path, options, cancellation);
        return new SaveTimes(save.InSilo, save.InSilo, save.Wall, save.PageBytes);
    });

    /// <summary>
    /// QEMU's own save, from its event "setup" to its event "completed"; and on to the end of an fsync that follows at once. The second is
    /// no sum of two times, because QEMU closes the file after "completed", and ext4 begins to write it back then.
    /// </summary>
    public static SaveWay OfQemu(string name, BenchGuest guest, FileMigration way) => new(name, async (path, cancellation) =>
    {
        var monitor = guest.Qemu.Monitor;
        var before = monitor.Events.Count;
        var outcome = (await QemuSave.SaveAsync(guest.Qemu, path, way, cancellationToken: cancellation)).ThrowUnlessCompleted();
        using (var file = Libc.Open(path, OpenFlags.ReadWrite))
            Libc.FSync(file);
        var durable = TimeProvider.System.GetUtcNow();
        var events = monitor.Events.Skip(before).ToArray();
        var bytes = outcome.Statistics.GetProperty("ram").GetProperty("normal-bytes").GetInt64();
        if (Libc.Identify(path).AllocatedBytes is var held && held < bytes)
            throw new InvalidOperationException($"{name} says that it wrote {bytes} bytes of pages, but its file holds {held}.");
        var start = TimeOf(events, "setup");
        return new SaveTimes(TimeOf(events, "completed") - start, durable - start, null, bytes);
    });

    /// <summary>fio: so many bytes past the page cache in 1 MiB writes, four at a time, into a file that it allocates before it takes the time.</summary>
    public static SaveWay OfFio(string name, long bytes, bool endWithFsync) => new(name, async (path, cancellation) =>
    {
        var (output, _) = await Programs.RunAsync(
            "fio",
            [
                "--name=bench", $"--filename={path}", $"--size={bytes.ToString(CultureInfo.InvariantCulture)}", "--rw=write", "--bs=1M",
                "--ioengine=libaio", "--iodepth=4", "--direct=1", "--numjobs=1", $"--end_fsync={(endWithFsync ? 1 : 0)}", "--output-format=json",
            ],
            cancellation);
        var write = JsonNode.Parse(output[output.IndexOf('{', StringComparison.Ordinal)..])!["jobs"]![0]!["write"]!;
        var time = TimeSpan.FromMilliseconds(write["runtime"]!.GetValue<long>());
        return new SaveTimes(time, time, null, write["io_bytes"]!.GetValue<long>());
    });

    /// <summary>When QEMU's migration came to a status, by the event's own time stamp.</summary>
    private static DateTimeOffset TimeOf(IEnumerable<JsonElement> events, string status)
    {
        var stamp = events
            .First(e => e.GetProperty("event").GetString() == "MIGRATION" && e.GetProperty("data").GetProperty("status").GetString() == status)
            .GetProperty("timestamp");
        return DateTimeOffset.FromUnixTimeSeconds(stamp.GetProperty("seconds").GetInt64()).AddMicroseconds(stamp.GetProperty("microseconds").GetInt64());
    }
}

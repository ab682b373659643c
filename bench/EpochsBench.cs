using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Transfer;
using DistMigrate.Transfer.Journal;

namespace DistMigrate.Bench;

/// <summary>What it costs that a save can be resumed: fsync epochs of different lengths, and the journal with the checksums.</summary>
internal static class EpochsBench
{
    private static readonly long[] Lengths = [64L << 20, 256L << 20, 512L << 20, 1L << 30, long.MaxValue];

    private static readonly UInt128[] SomeHashes = MakeHashes();

    public static async Task RunAsync(BenchOptions options, CancellationToken cancellationToken)
    {
        var (saves, journals) = (Lengths.Select(_ => new Samples()).ToArray(), Lengths.Select(_ => new Samples()).ToArray());
        var scratch = new ScratchImages(options.Folder);
        var local = Directory.CreateTempSubdirectory("dm-bench-epochs-").FullName;
        await using var guest = await BenchGuest.StartAsync(options.MiB, GuestFill.Contiguous(options.UsedMiB), cancellationToken);
        try
        {
            // Round 0 warms up.
            for (var round = 0; round <= options.Rounds; round++)
            {
                for (var turn = 0; turn < Lengths.Length; turn++)
                {
                    var i = (round + turn) % Lengths.Length;
                    var (save, journal) = await MeasureAsync(guest, options.MiB, scratch, local, Lengths[i], cancellationToken);
                    if (round == 0)
                        continue;
                    saves[i].Add(save);
                    journals[i].Add(journal);
                }
            }
        }
        finally
        {
            Directory.Delete(local, recursive: true);
        }

        MarkdownTable.Write(
            $"Fsync epochs and journal, guest of {options.MiB} MiB with {options.UsedMiB} in use, medians of {options.Rounds} rounds",
            ["an epoch closes after", "save, s", "ratio to one epoch", "journal and checksums alone, s", "share of the save"],
            [
                .. Lengths.Select((length, i) => (string[])
                [
                    length == long.MaxValue ? "all pages" : $"{length >> 20} MiB", Samples.Seconds(saves[i].Median), Number(saves[i].MedianRatioTo(saves[^1])),
                    Samples.Seconds(journals[i].Median), Number(journals[i].MedianRatioTo(saves[i])),
                ]),
            ]);
        Console.WriteLine("The journal of the same guest is written once more after each save, on the same disk, with nothing beside it.\n");
    }

    private static string Number(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);

    private static async Task<(TimeSpan Save, TimeSpan Journal)> MeasureAsync(
        BenchGuest guest, int mib, ScratchImages scratch, string local, long epoch, CancellationToken cancellationToken)
    {
        await guest.ResetAsync(cancellationToken);
        var options = new WriterOptions { EpochBytes = epoch, EpochTime = TimeSpan.FromHours(1) };
        var started = TimeProvider.System.GetTimestamp();
        await EngineSave.RunAsync(guest, scratch.Path, local, options, () => { }, cancellationToken);
        var save = TimeProvider.System.GetElapsedTime(started);
        await scratch.DeleteAsync(cancellationToken);
        var pages = mib * ((1L << 20) / Page.Size);
        started = TimeProvider.System.GetTimestamp();
        await StorageThread.RunAsync(() => WriteJournal(scratch.Path + ".journal", pages, Math.Min(pages, epoch / Page.Size)));
        var journal = TimeProvider.System.GetElapsedTime(started);
        await scratch.DeleteAsync(cancellationToken);
        return (save, journal);
    }

    /// <summary>What a save tells its journal, epoch by epoch, and the checksums at its end.</summary>
    private static void WriteJournal(string path, long pages, long pagesOfEpoch)
    {
        var identity = new JournalIdentity(
            "bench", "bench", "bench", "/bench", 1, 1, Guid.NewGuid(), path, 1, 1, new string('0', 32), [new JournalBlock("pc.ram", pages)], Request: "");
        using var journal = JournalFile.Create(path, identity, new JournalToken(1, Guid.NewGuid()));
        var epoch = 0u;
        for (var page = 0L; page < pages; page += pagesOfEpoch)
        {
            journal.AppendDurable(0, ++epoch, [new PageRun(page, Math.Min(pagesOfEpoch, pages - page))], Hashes);
            journal.Flush();
        }

        journal.Finish(path + ".checksums", pages * Page.Size, into => into.Durable(0, epoch, [new PageRun(0, pages)], Hashes));
    }

    /// <summary>Hashes do not compress; that these repeat themselves from chunk to chunk changes nothing here.</summary>
    private static void Hashes(PageRun run, Span<UInt128> entries)
    {
        for (var i = 0; i < entries.Length; i++)
            entries[i] = JournalEntry.OfHash(SomeHashes[i]);
    }

    private static UInt128[] MakeHashes()
    {
        var hashes = new UInt128[JournalAppender.ChunkPages];
        RandomNumberGenerator.Fill(MemoryMarshal.AsBytes(hashes.AsSpan()));
        return hashes;
    }
}

using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>
/// A page that is durable as A, is written as B, and is A again when the silo that wrote B has crashed: the journal of A must not vouch
/// for B in the file. The test writes into the memory of a guest that stands still, so it knows what is in a page at each moment.
/// </summary>
public sealed class ReturningPageTests : IAsyncLifetime
{
    private const int PageSize = 4096;
    private const string Block = "pc.ram";

    // The writers take pages in rising order, and the first MiB is the guest's own.
    private const int FirstPage = 1 << 8;
    private const int LastPage = 2 << 8;
    private const int Count = 5;

    private readonly FaultBench _bench = new();

    public Task InitializeAsync()
    {
        // No epoch closes by itself, so B never becomes durable.
        _bench.Product.Settings["DISTMIGRATE_Limits__EpochTime"] = "01:00:00";
        return Task.CompletedTask;
    }

    public Task DisposeAsync() => _bench.DisposeAsync();

    [RequiresQemuFact]
    public async Task A_page_that_changed_and_changed_back_around_a_crash_holds_what_the_guest_has()
    {
        var guest = await _bench.GuestAsync();
        var memory = Path.Combine(guest.MemoryFolder, Block);
        var reference = _bench.Product.Image("reference.img");
        (await _bench.SaveAsync(reference)).ExpectOk();
        var pagesOffset = ImageOracle.Layout(reference).Single(block => block.Name == Block).PagesOffset;
        await _bench.RemoveAsync(reference);
        await guest.PauseAsync();

        var random = FaultSeed.For(5);
        var pages = Enumerable.Range(0, Count).Select(_ => random.Next(FirstPage, LastPage)).Distinct().ToArray();
        var image = _bench.Product.Image("returning.img");
        var id = await _bench.SubmitAsync(guest, image, "1MiB/s");
        await _bench.WaitUntilCopiedAsync(pages: LastPage * 2);

        // A writer that gets no time may finish its extent after later ones.
        await Wait.UntilAsync(
            () => pages.All(page => Read(image + ".partial", page, pagesOffset).AsSpan().SequenceEqual(Read(memory, page, 0))), "the pages are in the file");
        (await _bench.Product.RunAsync("pause", id)).ExpectOk();
        await _bench.WaitForPhaseAsync(id, "paused");
        Assert.True(await _bench.SumBlocksAsync(id, "pages-durable") >= LastPage * 2, "What was written before the pause is durable.");
        var before = Array.ConvertAll(pages, page => Read(memory, page, 0));
        Assert.Equal(before, Array.ConvertAll(pages, page => Read(image + ".partial", page, pagesOffset)));

        var meanwhile = Array.ConvertAll(pages, _ => new byte[PageSize]);
        Array.ForEach(meanwhile, random.NextBytes);
        Write(memory, pages, meanwhile);
        (await _bench.Product.RunAsync("resume", id, "--detach")).ExpectOk();
        await Wait.UntilAsync(
            () => pages.Zip(meanwhile).All(page => Read(image + ".partial", page.First, pagesOffset).AsSpan().SequenceEqual(page.Second)),
            $"the changed pages are in the file (SEED={FaultSeed.Value})");
        await _bench.Product.KillSiloAsync();
        Write(memory, pages, before);

        await _bench.WaitForPhaseAsync(id, "completed");
        Assert.Equal(before, Array.ConvertAll(pages, page => Read(image, page, pagesOffset)));
        GuestMemoryOracle.AssertEqual(await GuestMemoryOracle.CaptureAsync(guest), ImageOracle.Capture(image));
        await _bench.CompleteAsync(id, image);
    }

    private static byte[] Read(string path, int page, long offset)
    {
        using var file = SystemProgram.OpenForReading(path);
        var bytes = new byte[PageSize];
        RandomAccess.Read(file, bytes, offset + ((long)page * PageSize));
        return bytes;
    }

    private static void Write(string path, int[] pages, byte[][] contents)
    {
        using var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        foreach (var (page, content) in pages.Zip(contents))
            RandomAccess.Write(file, content, (long)page * PageSize);
    }
}

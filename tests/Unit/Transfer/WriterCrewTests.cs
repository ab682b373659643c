using CsCheck;
using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.Tests.Lab;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class WriterCrewTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_page_is_lost_in_no_race_of_writers_guest_and_epochs() =>
        await Gen.Select(Gen.Int[1, 300], Gen.Int[1, 4], Gen.Int[1, 16], Gen.Int[0, int.MaxValue]).SampleAsync(
            async (pages, writers, extentPages, seed) =>
            {
                var random = new Random(seed);
                using var block = new TestBlock(pages);
                using var crew = NewCrew(block.Image, writers, extentPages, block);
                using var end = new CancellationTokenSource();
                var observer = Task.Run(() => Observe(block, end.Token));
                for (var iteration = 1; iteration <= 4; iteration++)
                {
                    block.Engine.BeginIteration(iteration);
                    crew.Wake();
                    for (var i = 0; i < 20; i++)
                    {
                        Disturb(block, random);
                        block.Engine.ReleaseHeld(block.Engine.HeldPages());
                        crew.Wake();
                        if (i % 5 == 4)
                            block.CloseEpoch(durable: random.Next(2) == 0);
                    }

                    await block.Engine.Settled.WaitAsync(Limit);
                }

                for (var iteration = 5; block.Now.Dirty > 0; iteration++)
                    await IterateAsync(block, crew, iteration);
                block.CloseEpoch();
                await end.CancelAsync();
                await observer;
                block.AssertHandedOver(block.HandOver());
                Assert.Equal(0, crew.Stop(Limit));
            },
            iter: 25, threads: 1);

    [Fact]
    public async Task Every_moment_of_a_cancel_leaves_no_page_in_flight_and_no_thread_behind() =>
        await Gen.Select(Gen.Int[1, 200], Gen.Int[1, 4], Gen.Int[0, 200]).SampleAsync(
            async (pages, writers, spins) =>
            {
                using var block = new TestBlock(pages).With((0, pages));
                using var crew = NewCrew(block.Image, writers, extentPages: 2, block);
                block.Engine.BeginIteration(1);
                crew.Wake();
                Thread.SpinWait(spins * 20);
                block.Engine.Cancel();
                await block.Engine.Settled.WaitAsync(Limit);
                Assert.Equal(0, block.Now.InFlight);
                Assert.Equal(pages, block.Now.Dirty + block.Now.Written);
                Assert.Equal(0, crew.Stop(Limit));
                Assert.Equal(0, block.Now.LateWrites);
            },
            iter: 50, threads: 1);

    [Theory]
    [InlineData(DirectIoChoice.Auto)]
    [InlineData(DirectIoChoice.Off)]
    public async Task On_a_disk_the_file_equals_memory_past_the_page_cache_or_through_it(DirectIoChoice directIo)
    {
        const int pages = 700;
        using var folder = new TestFolder();
        using var image = ImageFile.Create(folder["image.partial"], (1 << 20) + (pages * Page.Size), directIo, Watch.Impatient());
        using var block = new TestBlock(pages, image).With((0, 100), (110, 1), (130, 300), (500, 17), (699, 1));
        using var crew = NewCrew(image, writers: 3, extentPages: 64, block);
        await IterateAsync(block, crew, iteration: 1);
        block.Memory.Fill(new PageRun(50, 20), 0);
        block.Memory.Free(new PageRun(200, 64));
        block.Memory.Fill(new PageRun(600, 3), 0x77);
        block.Engine.MarkDirty(new PageRun(50, 214));
        block.Engine.MarkDirty(new PageRun(600, 3));
        await IterateAsync(block, crew, iteration: 2);
        block.Engine.BeginEpoch();
        image.FSync();
        block.Engine.EndEpoch(durable: true);
        block.AssertHandedOver(block.HandOver());
        Assert.Equal(0, crew.Stop(Limit));
    }

    [Fact]
    public async Task Two_blocks_advance_side_by_side()
    {
        using var both = new Barrier(2);
        using var folder = new TestFolder("/dev/shm");
        using var image = ImageFile.Create(folder["image.partial"], 4 << 20, DirectIoChoice.Off, Watch.Impatient());
        using var one = new TestBlock(64, image, 1 << 20).With((0, 64));
        using var other = new TestBlock(64, image, 2 << 20).With((0, 64));
        var met = 0;
        foreach (var block in (TestBlock[])[one, other])
        {
            block.Memory.BeforeRead = (first, _) =>
            {
                // Both blocks are read at the same moment, or the barrier is never full.
                if (first == 0 && both.SignalAndWait(Limit))
                    Interlocked.Increment(ref met);
            };
        }

        using var crew = NewCrew(image, writers: 2, extentPages: 64, one, other);
        one.Engine.BeginIteration(1);
        other.Engine.BeginIteration(1);
        crew.Wake();
        await Task.WhenAll(one.Engine.Settled, other.Engine.Settled).WaitAsync(Limit);
        Assert.Equal(2, met);
        Assert.Equal((BlockState.Clean, BlockState.Clean), (one.Now.State, other.Now.State));
        Assert.Equal(0, crew.Stop(Limit));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Memory_that_cannot_be_read_fails_its_own_block_alone_and_the_next_iteration_tries_again(bool expected)
    {
        using var folder = new TestFolder("/dev/shm");
        using var image = ImageFile.Create(folder["image.partial"], 4 << 20, DirectIoChoice.Off, Watch.Impatient());
        using var good = new TestBlock(64, image, 1 << 20).With((0, 64));
        using var bad = new TestBlock(64, image, 2 << 20).With((0, 64));
        Exception error = expected ? new GuestException(GuestFault.MemoryUnreadable, "The test says so.") : new InvalidOperationException("A fault of ours.");
        bad.Memory.BeforeRead = (first, _) =>
        {
            if (first == 32)
                throw error;
        };
        using var crew = NewCrew(image, writers: 2, extentPages: 16, bad, good);
        bad.Engine.BeginIteration(1);
        good.Engine.BeginIteration(1);
        crew.Wake();
        await Task.WhenAll(good.Engine.Settled, bad.Engine.Settled).WaitAsync(Limit);
        Assert.Equal((BlockState.Clean, 64), (good.Now.State, good.Now.Normal));
        Assert.Equal((BlockState.Failed, 1, 0), (bad.Now.State, bad.Now.Errors, bad.Now.InFlight));
        Assert.Same(error, bad.Now.Error);
        Assert.InRange(bad.Now.Dirty, 16, 64);

        bad.Memory.BeforeRead = (_, _) => { };
        await IterateAsync(bad, crew, iteration: 2);
        Assert.Equal((BlockState.Clean, 64), (bad.Now.State, bad.Now.Normal));
        Assert.Equal(0, crew.Stop(Limit));
    }

    [Fact]
    public async Task Writers_that_have_nothing_to_do_take_up_a_block_that_is_added_later()
    {
        using var block = new TestBlock(10).With((0, 10));
        using var crew = NewCrew(block.Image, writers: 3, extentPages: 4);
        crew.Wake();
        crew.Add(block.Engine);
        await IterateAsync(block, crew, iteration: 1);
        Assert.Equal(10, block.Now.Normal);
        Assert.Equal(0, crew.Stop(Limit));
    }

    [Fact]
    public async Task Large_blocks_advance_side_by_side_whatever_small_ones_come_before_them()
    {
        using var hang = new ManualResetEventSlim();
        using var one = new TestBlock(64).With((0, 64));
        using var other = new TestBlock(64).With((0, 64));
        using var small = new TestBlock(1).With((0, 1));
        one.Memory.BeforeRead = other.Memory.BeforeRead = (_, _) => hang.Wait();
        using var crew = NewCrew(one.Image, writers: 2, extentPages: 4, small, one, other);
        foreach (var block in new[] { small, one, other })
            block.Engine.BeginIteration(1);
        crew.Wake();
        try
        {
            await Wait.UntilAsync(() => one.Now.InFlight + other.Now.InFlight == 8, "both writers are at the large blocks");
            Assert.Equal(4, one.Now.InFlight);
            Assert.Equal(4, other.Now.InFlight);
        }
        finally
        {
            hang.Set();
        }

        await one.Engine.Settled.WaitAsync(Limit);
        await other.Engine.Settled.WaitAsync(Limit);
        Assert.Equal(0, crew.Stop(Limit));
    }

    [Fact]
    public async Task Under_a_bandwidth_limit_all_pages_get_through()
    {
        using var block = new TestBlock(300).With((0, 300));
        using var crew = new WriterCrew(block.Image, new WriterOptions { Writers = 2, ExtentBytes = 16 * Page.Size, BandwidthLimit = 8 << 20 }, "test");
        crew.Add(block.Engine);
        await IterateAsync(block, crew, iteration: 1);
        Assert.Equal(300, block.Now.Normal);
        Assert.Equal(0, crew.Stop(Limit));
    }

    [Fact]
    public async Task Stop_does_not_wait_for_the_bandwidth_limit()
    {
        const int extent = 1 << 20;
        using var block = new TestBlock(3 * extent / Page.Size).With((0, 3 * extent / Page.Size));
        using var crew = new WriterCrew(block.Image, new WriterOptions { Writers = 2, ExtentBytes = extent, BandwidthLimit = 64 << 10 }, "test");
        crew.Add(block.Engine);
        block.Engine.BeginIteration(1);
        crew.Wake();

        // The first extent uses the tokens up; at 64 KiB a second the next ones would wait for a quarter of a minute each.
        await Wait.UntilAsync(() => block.Now.Normal == extent / Page.Size && block.Now.InFlight > 0, "the next extent waits for its turn");
        Assert.Equal(0, crew.Stop(TimeSpan.FromSeconds(8)));
        Assert.Equal(extent / Page.Size, block.Now.Normal);
        Assert.Equal(0, block.Now.InFlight);
    }

    [Fact]
    public async Task A_bandwidth_limit_that_is_lifted_lets_writers_go_on_that_wait_for_it_and_one_that_is_set_holds_them()
    {
        const int extent = 1 << 20;
        const int pages = 4 * extent / Page.Size;
        using var block = new TestBlock(pages).With((0, pages));
        using var crew = new WriterCrew(block.Image, new WriterOptions { Writers = 2, ExtentBytes = extent, BandwidthLimit = 64 << 10 }, "test");
        crew.Add(block.Engine);
        block.Engine.BeginIteration(1);
        crew.Wake();

        // At 64 KiB a second the rest would take most of a minute.
        await Wait.UntilAsync(() => block.Now.Normal == extent / Page.Size && block.Now.InFlight > 0, "the next extent waits for its turn");
        crew.SetBandwidth(0);
        await block.Engine.Settled.WaitAsync(Limit);
        Assert.Equal(pages, block.Now.Normal);

        crew.SetBandwidth(64 << 10);
        block.Engine.MarkDirty(new PageRun(0, pages));
        block.Memory.Fill(new PageRun(0, pages), 0x55);
        block.Engine.BeginIteration(2);
        crew.Wake();
        await Wait.UntilAsync(() => block.Now.Redirtied >= extent / Page.Size && block.Now.InFlight > 0, "the next extent waits for its turn again");
        Assert.Equal(0, crew.Stop(Limit));
        Assert.True(block.Now.Redirtied < pages, $"{block.Now.Redirtied} pages were written in spite of the limit.");
    }

    [Fact]
    public async Task A_thread_that_does_not_return_is_counted_as_stuck_and_its_late_write_refused()
    {
        using var hang = new ManualResetEventSlim();
        using var block = new TestBlock(4).With((0, 4));
        block.Memory.BeforeRead = (_, _) => hang.Wait();
        var crew = NewCrew(block.Image, writers: 2, extentPages: 4, block);
        block.Engine.BeginIteration(1);
        crew.Wake();
        await Wait.UntilAsync(() => block.Now.InFlight == 4, "a writer reads");
        Assert.Equal(1, crew.Stop(TimeSpan.FromMilliseconds(20)));
        block.Engine.Dispose();
        hang.Set();
        Assert.Equal(0, crew.Stop(Limit));
        Assert.Equal(1, block.Now.LateWrites);
        crew.Dispose();
    }

    private static WriterCrew NewCrew(ImageFile image, int writers, int extentPages, params TestBlock[] blocks)
    {
        var crew = new WriterCrew(image, new WriterOptions { Writers = writers, ExtentBytes = extentPages * Page.Size }, "test");
        foreach (var block in blocks)
            crew.Add(block.Engine);
        return crew;
    }

    private static async Task IterateAsync(TestBlock block, WriterCrew crew, int iteration)
    {
        block.Engine.ReleaseHeld(block.Engine.HeldPages());
        block.Engine.BeginIteration(iteration);
        crew.Wake();
        await block.Engine.Settled.WaitAsync(Limit);
    }

    private static void Disturb(TestBlock block, Random random)
    {
        var pages = (int)block.Layout.PageCount;
        var first = random.Next(pages);
        var run = new PageRun(first, random.Next(1, Math.Min(20, pages - first) + 1));
        switch (random.Next(4))
        {
            case 0:
                block.Memory.Fill(run, 0);
                break;
            case 1:
                block.Memory.Free(run);
                break;
            default:
                block.Memory.Fill(run, (byte)random.Next(1, 256));
                break;
        }

        block.Engine.MarkDirty(run);
    }

    private static void Observe(TestBlock block, CancellationToken end)
    {
        while (!end.IsCancellationRequested)
        {
            var now = block.Now;
            Assert.Equal(block.Layout.PageCount, now.Dirty + now.InFlight + now.Written + now.Durable);
            Assert.True(now is { Dirty: >= 0, InFlight: >= 0, Written: >= 0, Durable: >= 0 } && now.Zero >= 0 && now.Zero <= now.Written + now.Durable, now.ToString());
            Thread.Yield();
        }
    }
}

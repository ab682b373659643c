using CsCheck;
using DistMigrate.MappedRam;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>A block that QEMU's stream feeds.</summary>
public sealed class FedBlockTests
{
    private static readonly Gen<(int Pages, int ExtentPages, (int Kind, int First, int Count)[] Steps)> GenHistory =
        from pages in Gen.OneOf(Gen.Int[1, 12], Gen.Int[30, 80])
        from extentPages in Gen.Int[1, 16]
        from steps in Gen.Select(Gen.Int[0, 24], Gen.Int[0, pages - 1], Gen.Int[1, 16]).Array[0, 80]
        select (pages, extentPages, steps);

    private static readonly FeedEvent[] Kinds =
    [
        .. Enum.GetValues<FeedEvent>(),
        FeedEvent.Send, FeedEvent.Send, FeedEvent.Receive, FeedEvent.Receive, FeedEvent.Take, FeedEvent.Take, FeedEvent.Copy, FeedEvent.Copy,
        FeedEvent.Scan, FeedEvent.GuestWrites,
    ];

    [Fact]
    public void In_every_history_a_page_that_is_not_as_the_guest_has_it_is_still_to_come_and_in_the_end_file_and_memory_are_equal() =>
        GenHistory.Sample(
            history =>
            {
                using var block = new FedBlockHistory(history.Pages, history.ExtentPages);
                foreach (var (kind, first, count) in history.Steps)
                    block.Play(Kinds[kind], new PageRun(first, Math.Min(count, history.Pages - first)));
                block.Finish();
            },
            iter: 1000);

    [Fact]
    public void No_page_is_taken_before_the_stream_has_told_of_it()
    {
        using var block = Fed(8);
        Assert.False(block.Engine.TryTake(4, out _));
        block.Engine.Announce(5, block.Memory[5]);
        block.Engine.EndAnnouncements();
        Assert.True(block.Engine.TryTake(4, out var run));
        Assert.Equal(new PageRun(5, 1), run);
        Assert.False(block.Engine.TryTake(4, out _));
        Assert.Equal((7, 1), (block.Now.Dirty, block.Now.InFlight));
    }

    [Fact]
    public void A_run_at_whose_end_the_stream_goes_on_is_left_to_grow_to_a_whole_extent()
    {
        using var block = Fed(8);
        for (var page = 0; page < 3; page++)
            block.Engine.Announce(page, block.Memory[page]);
        Assert.False(block.Engine.TryTake(4, out _));
        block.Engine.Announce(3, block.Memory[3]);
        Assert.True(block.Engine.TryTake(4, out var run));
        Assert.Equal(new PageRun(0, 4), run);
    }

    [Fact]
    public void What_an_earlier_stream_had_written_is_not_written_again_when_the_next_one_tells_the_same()
    {
        using var block = Fed(8);
        for (var page = 0; page < 8; page++)
            block.Engine.Announce(page, block.Memory[page]);
        Write(block);
        block.CloseEpoch();
        var before = block.Now.Normal;

        block.Engine.EndFeed();
        block.Memory.Fill(new PageRun(6, 1), 0x66);
        block.Engine.BeginFeed();
        block.Engine.BeginIteration(2);
        for (var page = 0; page < 8; page++)
            block.Engine.Announce(page, block.Memory[page]);
        block.Engine.ReleaseHeld(block.Engine.HeldPages());
        Write(block);
        block.Engine.EndFeed();
        Assert.Equal((1, 1), (block.Now.Normal - before, block.Now.Redirtied));
        block.CloseEpoch();
        block.AssertHandedOver(block.HandOver());
    }

    [Fact]
    public void A_block_is_not_clean_before_its_stream_has_ended_and_what_that_did_not_tell_is_written_all_the_same()
    {
        using var block = Fed(8);
        for (var page = 0; page < 7; page++)
            block.Engine.Announce(page, block.Memory[page]);
        Write(block);
        Assert.Equal((BlockState.Iterating, 1), (block.Now.State, block.Now.Dirty));
        block.Engine.EndFeed();
        Assert.Equal((BlockState.Iterating, 1), (block.Now.State, block.Now.Dirty));
        Write(block);
        Assert.Equal(BlockState.Clean, block.Now.State);
        block.CloseEpoch();
        block.AssertHandedOver(block.HandOver());
    }

    [Fact]
    public void A_block_that_was_clean_before_its_stream_began_takes_what_that_tells()
    {
        using var block = new TestBlock(4).With((0, 4));
        block.Engine.BeginIteration(1);
        Write(block);
        Assert.Equal(BlockState.Clean, block.Now.State);
        block.CloseEpoch();

        block.Engine.BeginFeed();
        Assert.False(block.Engine.Settled.IsCompleted);
        block.Memory.Fill(new PageRun(2, 1), 0x77);
        block.Engine.Announce(2, block.Memory[2]);
        block.Engine.ReleaseHeld(block.Engine.HeldPages());
        Write(block);
        Assert.Equal((0, 1), (block.Now.Dirty, block.Now.Redirtied));
        block.Engine.EndFeed();
        Assert.Equal(BlockState.Clean, block.Now.State);
        block.CloseEpoch();
        block.AssertHandedOver(block.HandOver());
    }

    private static TestBlock Fed(int pages)
    {
        var block = new TestBlock(pages).With((0, pages));
        block.Engine.BeginFeed();
        block.Engine.BeginIteration(1);
        Assert.True(block.Engine.TryScan(block.Image));
        return block;
    }

    private static void Write(TestBlock block)
    {
        using var copier = new ExtentCopier(block.Image, 256, _ => { });
        block.Engine.EndAnnouncements();
        block.Engine.TryScan(block.Image);
        while (block.Engine.TryTake(256, out var run))
            copier.Copy(block.Engine, run);
    }
}

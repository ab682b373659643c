using CsCheck;
using DistMigrate.MappedRam;
using DistMigrate.Posix;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class BlockEngineTests
{
    private static readonly Gen<(int Pages, int ExtentPages, (int Kind, int First, int Count)[] Steps)> GenHistory =
        from pages in Gen.OneOf(Gen.Int[1, 20], Gen.Int[60, 130])
        from extentPages in Gen.Int[1, 32]
        from steps in Gen.Select(Gen.Int[0, 15], Gen.Int[0, pages - 1], Gen.Int[1, 24]).Array[0, 60]
        select (pages, extentPages, steps);

    // Taking and copying come more often than the rest, so that much is under way.
    private static readonly BlockEvent[] Kinds =
        [.. Enum.GetValues<BlockEvent>(), BlockEvent.Scan, BlockEvent.Take, BlockEvent.Take, BlockEvent.Copy, BlockEvent.GuestWrites];

    [Fact]
    public void In_every_history_each_page_is_where_a_plain_model_has_it_and_in_the_end_file_and_shadow_bitmap_equal_memory() =>
        GenHistory.Sample(
            history =>
            {
                using var block = new BlockHistory(history.Pages, history.ExtentPages);
                foreach (var (kind, first, count) in history.Steps)
                    block.Play(Kinds[kind], new PageRun(first, Math.Min(count, history.Pages - first)));
                block.Finish();
            },
            iter: 1000);

    [Fact]
    public void A_block_that_was_given_up_has_no_cells()
    {
        using var block = new TestBlock(8);
        block.Engine.Dispose();
        Assert.False(block.Engine.TryCount(new CellCounts[4]));
    }

    [Fact]
    public void A_page_between_two_rewritten_ones_keeps_its_bytes_when_unused_space_is_given_back()
    {
        using var block = new TestBlock(8).With((0, 8));
        block.CopyAll(iteration: 1);
        block.Memory.Fill(new PageRun(0, 1), 0x71);
        block.Memory.Fill(new PageRun(5, 1), 0x72);
        block.Engine.MarkDirty(new PageRun(0, 1));
        block.Engine.MarkDirty(new PageRun(5, 1));
        block.CopyAll(iteration: 2);
        block.CloseEpoch();
        block.AssertHandedOver(block.HandOver());
    }

    [Fact]
    public void Extents_that_cross_the_unit_of_reservation_lose_nothing()
    {
        const int reserved = 16384;
        using var block = new TestBlock(reserved + 40).With((reserved - 5, 3), (reserved + 1, 2), (reserved + 30, 1), (reserved + 39, 1));
        block.CopyAll(iteration: 1, extentPages: 3);
        block.CloseEpoch();
        block.AssertHandedOver(block.HandOver());
    }

    [Fact]
    public void A_page_that_turned_zero_reads_as_zero_where_an_earlier_pass_wrote()
    {
        using var block = new TestBlock(6).With((0, 6));
        block.CopyAll(iteration: 1);
        block.Memory.Fill(new PageRun(1, 2), 0);
        block.Memory.Free(new PageRun(4, 1));
        block.Engine.MarkDirty(new PageRun(0, 6));
        block.CopyAll(iteration: 2);
        block.CloseEpoch();
        Assert.True(block.InFileIs(1, 0) && block.InFileIs(2, 0) && block.InFileIs(4, 0));
        Assert.Equal(3, block.Now.Zero);
        block.AssertHandedOver(block.HandOver());
    }

    [Fact]
    public void A_write_that_failed_half_way_leaves_no_bytes_in_a_page_that_is_zero_by_then()
    {
        using var block = new TestBlock(4).With((0, 4));
        block.Engine.BeginIteration(1);
        block.Engine.TryScan(block.Image);
        Assert.True(block.Engine.TryTake(4, out var run));
        block.FillFile(0xee);
        block.Engine.Fail(run, new ImageException(ImageFault.Storage, "Half of it was written."));
        block.Memory.Free(new PageRun(1, 1));
        block.Memory.Fill(new PageRun(2, 1), 0);
        block.CopyAll(iteration: 2);
        block.CloseEpoch();
        block.AssertHandedOver(block.HandOver());
    }

    [Fact]
    public void A_failed_epoch_makes_the_pages_since_the_last_good_one_dirty_and_no_others()
    {
        using var block = new TestBlock(10).With((0, 10));
        block.CopyAll(iteration: 1);
        block.CloseEpoch();
        block.Engine.MarkDirty(new PageRun(2, 3));
        block.CopyAll(iteration: 2);
        block.Engine.BeginEpoch();
        block.Engine.MarkDirty(new PageRun(7, 1));
        block.CopyAll(iteration: 3);
        block.Engine.EndEpoch(durable: false);
        Assert.Equal((4, 6, BlockState.Ready), (block.Now.Dirty, block.Now.Durable, block.Now.State));
        block.Engine.BeginIteration(4);
        block.Engine.TryScan(block.Image);
        Assert.True(block.Engine.TryTake(10, out var first));
        Assert.True(block.Engine.TryTake(10, out var second));
        Assert.Equal((new PageRun(2, 3), new PageRun(7, 1)), (first, second));
    }

    [Fact]
    public void A_page_that_turned_zero_in_a_failed_epoch_is_made_zero_in_the_file_again()
    {
        using var block = new TestBlock(1).With((0, 1));
        block.CopyAll(iteration: 1);
        block.CloseEpoch();
        block.Memory.Free(new PageRun(0, 1));
        block.Engine.MarkDirty(new PageRun(0, 1));
        block.CopyAll(iteration: 2);

        // What the storage does when it loses the punch.
        block.FillFile(1);
        block.CloseEpoch(durable: false);
        block.CopyAll(iteration: 3);
        block.CloseEpoch();
        block.AssertHandedOver(block.HandOver());
    }

    [Fact]
    public void A_page_in_flight_while_an_epoch_fails_is_written_again_because_of_that_and_not_because_it_changed()
    {
        using var block = new TestBlock(1).With((0, 1));
        block.Engine.BeginIteration(1);
        block.Engine.TryScan(block.Image);
        Assert.True(block.Engine.TryTake(1, out var run));
        block.CloseEpoch(durable: false);
        using var copier = new ExtentCopier(block.Image, 1, _ => { });
        copier.Copy(block.Engine, run);
        Assert.Equal((1, 1, 0, 0), (block.Now.Dirty, block.Now.First, block.Now.Redirtied, block.Now.Resumed));
        block.CopyAll(iteration: 1);
        Assert.Equal((0, 1, 0, 1), (block.Now.Dirty, block.Now.First, block.Now.Redirtied, block.Now.Resumed));
    }

    [Fact]
    public void An_epoch_cannot_open_while_another_is_open_because_that_one_would_count_as_durable()
    {
        using var block = new TestBlock(2).With((0, 2));
        block.CopyAll(iteration: 1);
        block.Engine.BeginEpoch();
        Assert.Throws<InvalidOperationException>(block.Engine.BeginEpoch);
        Assert.Equal((2, 0), (block.Now.Written, block.Now.Durable));
    }

    [Fact]
    public void The_same_iteration_again_writes_nothing_again()
    {
        using var block = new TestBlock(5).With((0, 3));
        block.CopyAll(iteration: 1);
        var once = block.Now;
        block.CopyAll(iteration: 1);
        Assert.Equal(once, block.Now);
        Assert.Equal((3, 2, 3 * Page.Size), (once.Normal, once.Duplicate, once.WrittenBytes));
    }

    [Fact]
    public void A_failed_iteration_is_tried_again_by_the_next_number_only()
    {
        using var block = new TestBlock(2).With((0, 2));
        block.Engine.BeginIteration(1);
        block.Engine.TryScan(block.Image);
        Assert.True(block.Engine.TryTake(2, out var run));
        block.Engine.Fail(run, new ImageException(ImageFault.NoSpace, "No space."));
        Assert.Equal((BlockState.Failed, 1, ImageFault.NoSpace), (block.Now.State, block.Now.Errors, Assert.IsType<ImageException>(block.Now.Error).Fault));
        block.Engine.BeginIteration(1);
        Assert.Equal(BlockState.Failed, block.Now.State);
        block.CopyAll(iteration: 2);
        Assert.Null(block.Now.Error);
    }

    [Fact]
    public void No_page_is_handed_out_before_the_holes_are_known()
    {
        using var block = new TestBlock(2).With((0, 2));
        block.Engine.BeginIteration(1);
        Assert.False(block.Engine.TryTake(2, out _));
        Assert.True(block.Engine.TryScan(block.Image));
        Assert.False(block.Engine.TryScan(block.Image));
        Assert.True(block.Engine.TryTake(2, out _));
    }

    [Fact]
    public void A_hole_that_the_guest_fills_while_the_holes_are_asked_for_is_not_lost()
    {
        using var block = new TestBlock(3).With((0, 1));
        block.Memory.BeforeDataRuns = () =>
        {
            // What the answer cannot know any more.
            block.Memory.BeforeDataRuns = () => { };
            block.Engine.MarkDirty(new PageRun(2, 1));
        };
        block.Engine.BeginIteration(1);
        block.Engine.TryScan(block.Image);
        Assert.Equal((2, 1), (block.Now.Dirty, block.Now.Written));
        block.Memory.Fill(new PageRun(2, 1), 0x33);
        block.CopyAll(iteration: 1);
        block.CloseEpoch();
        block.AssertHandedOver(block.HandOver());
    }

    [Fact]
    public void Whatever_the_question_for_holes_throws_fails_the_block_and_keeps_its_pages_dirty()
    {
        using var block = new TestBlock(3).With((0, 3));
        block.Memory.BeforeDataRuns = () => throw new InvalidOperationException("A fault of ours.");
        block.Engine.BeginIteration(1);
        Assert.True(block.Engine.TryScan(block.Image));
        Assert.Equal((BlockState.Failed, 3, 0, 1), (block.Now.State, block.Now.Dirty, block.Now.InFlight, block.Now.Errors));
        Assert.True(block.Engine.Settled.IsCompleted);
        block.Memory.BeforeDataRuns = () => { };
        block.CopyAll(iteration: 2);
    }

    [Fact]
    public void A_block_is_handed_over_only_when_every_page_is_durable()
    {
        using var block = new TestBlock(2).With((0, 2));
        Assert.Throws<InvalidOperationException>(() => block.Engine.HandOver());
        block.CopyAll(iteration: 1);
        Assert.Throws<InvalidOperationException>(() => block.Engine.HandOver());
        block.CloseEpoch();
        block.AssertHandedOver(block.Engine.HandOver());
        Assert.Equal((BlockState.Completed, 2, 0), (block.Now.State, block.Now.Durable, block.Now.Zero));
    }

    [Fact]
    public void After_the_hand_over_a_late_write_is_refused_and_counted()
    {
        using var block = new TestBlock(4).With((0, 2));
        block.CopyAll(iteration: 1);
        block.CloseEpoch();
        block.Engine.HandOver();
        var before = block.Now;
        block.Engine.Settle(new ExtentOutcome(new PageRun(0, 2), [0], [1, 2], 2 * Page.Size));
        block.Engine.Fail(new PageRun(2, 1), new IOException("late"));
        block.Engine.EndEpoch(durable: false);
        block.Engine.Cancel();
        Assert.Equal(before with { LateWrites = 2 }, block.Now);
    }

    [Fact]
    public void A_page_that_changes_after_the_hand_over_is_written_again_and_only_that_one()
    {
        using var block = new TestBlock(4).With((0, 4));
        block.CopyAll(iteration: 1);
        block.CloseEpoch();
        block.Engine.HandOver();
        block.Memory.Fill(new PageRun(2, 1), 9);
        block.Engine.MarkDirty(new PageRun(2, 1));
        block.CopyAll(iteration: 2);
        block.CloseEpoch();
        block.AssertHandedOver(block.HandOver());
        Assert.Equal((4, 1, 0), (block.Now.First, block.Now.Redirtied, block.Now.Resumed));
    }

    [Fact]
    public void A_write_that_returns_after_the_block_was_given_up_is_refused_and_counted()
    {
        using var block = new TestBlock(4).With((0, 4));
        block.Engine.BeginIteration(1);
        block.Engine.TryScan(block.Image);
        Assert.True(block.Engine.TryTake(4, out var run));
        block.Engine.Dispose();
        Assert.True(block.Memory.IsDisposed);
        Assert.True(block.Engine.Settled.IsCompleted);
        using var copier = new ExtentCopier(block.Image, 4, _ => { });
        copier.Copy(block.Engine, run);
        Assert.Equal((1, 0, BlockState.Cancelled), (block.Now.LateWrites, block.Now.Normal, block.Now.State));
    }

    [Fact]
    public void A_cancelled_block_settles_when_its_last_write_has_returned_and_hands_nothing_out()
    {
        using var block = new TestBlock(8).With((0, 8));
        block.Engine.BeginIteration(1);
        block.Engine.TryScan(block.Image);
        Assert.True(block.Engine.TryTake(4, out var run));
        block.Engine.Cancel();
        Assert.False(block.Engine.TryTake(4, out _));
        Assert.False(block.Engine.Settled.IsCompleted);
        using var copier = new ExtentCopier(block.Image, 4, _ => { });
        copier.Copy(block.Engine, run);
        Assert.True(block.Engine.Settled.IsCompleted);
        Assert.Equal((BlockState.Cancelled, 4, 4, 0), (block.Now.State, block.Now.Dirty, block.Now.Written, block.Now.LateWrites));
        Assert.Throws<InvalidOperationException>(() => block.Engine.BeginIteration(2));
    }

    [Fact]
    public void A_sparse_block_leaves_a_sparse_file()
    {
        using var block = new TestBlock(4000).With((0, 1), (10, 1), (20, 1), (3999, 1));
        block.Memory.Fill(new PageRun(1, 9), 0);
        block.Memory.Fill(new PageRun(100, 3000), 0);
        block.CopyAll(iteration: 1);
        block.CloseEpoch();
        block.AssertHandedOver(block.HandOver());
        Assert.Equal(4 * Page.Size, Libc.Identify(block.Image.Path).AllocatedBytes);
    }
}

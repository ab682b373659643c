using CsCheck;
using DistMigrate.MappedRam;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class ExtentCopierTests
{
    private const int Extent = 64;
    private const byte Untouched = 0xee;

    [Theory]
    [InlineData(1, new[] { 3 })]
    [InlineData(16, new[] { 18 })]
    [InlineData(17, new[] { 1, 1 })]
    [InlineData(40, new[] { 1, 1 })]
    public void Data_with_up_to_sixteen_zero_pages_between_goes_out_as_one_write(int gap, int[] expected)
    {
        using var block = new TestBlock(Extent).With((3, 1), (4 + gap, 1));
        Assert.Equal(expected, Copy(block));
    }

    [Fact]
    public void Zero_pages_at_the_ends_of_an_extent_are_not_written()
    {
        using var block = new TestBlock(Extent).With((20, 4));
        Assert.Equal([4], Copy(block));
        Assert.True(block.InFileIs(19, Untouched) && block.InFileIs(20, 1) && block.InFileIs(23, 1) && block.InFileIs(24, Untouched));
    }

    [Fact]
    public void An_extent_of_zero_pages_is_not_written_at_all()
    {
        using var block = new TestBlock(Extent);
        Assert.Empty(Copy(block));
        Assert.True(block.InFileIs(0, Untouched));
        Assert.Equal((0, Extent, 0, Extent), (block.Now.Normal, block.Now.Duplicate, block.Now.WrittenBytes, block.Now.Zero));
    }

    [Fact]
    public void An_extent_of_data_is_one_write_of_all_of_it()
    {
        using var block = new TestBlock(Extent).With((0, Extent));
        Assert.Equal([Extent], Copy(block));
        Assert.Equal(Extent * Page.Size, block.Now.WrittenBytes);
    }

    [Fact]
    public void For_every_pattern_the_writes_begin_and_end_with_data_and_cover_all_of_it() =>
        Gen.Frequency((3, Gen.Const(false)), (1, Gen.Const(true))).Array[1, Extent].Sample(
            data =>
            {
                using var block = new TestBlock(data.Length);
                for (var page = 0; page < data.Length; page++)
                    block.Memory.Fill(new PageRun(page, 1), (byte)(data[page] ? page + 1 : 0));
                var writes = Copy(block);
                Assert.Equal(Segments(data), writes);
                for (var page = 0; page < data.Length; page++)
                {
                    if (data[page])
                        Assert.True(block.InFileIs(page, (byte)(page + 1)), $"page {page}");
                    else
                        Assert.True(block.InFileIs(page, 0) || block.InFileIs(page, Untouched), $"page {page}");
                }
            },
            iter: 200);

    [Theory]
    [InlineData(16)]
    [InlineData(256)]
    public void Copying_allocates_nothing_however_many_pages_an_extent_has(int extentPages)
    {
        using var block = new TestBlock(extentPages);
        using var copier = new ExtentCopier(block.Image, extentPages, _ => { });
        var least = long.MaxValue;
        for (var iteration = 1; iteration <= 50; iteration++)
        {
            for (var page = 0; page < extentPages; page++)
                block.Memory.Fill(new PageRun(page, 1), (byte)((page + iteration) % 2));
            block.Engine.MarkDirty(new PageRun(0, extentPages));
            block.Engine.BeginIteration(iteration);
            block.Engine.TryScan(block.Image);
            Assert.True(block.Engine.TryTake(extentPages, out var run));
            Assert.Equal(extentPages, run.Count);

            // The first copy settles pages that no earlier pass wrote; later ones have to make half of them zero on file.
            var before = GC.GetAllocatedBytesForCurrentThread();
            copier.Copy(block.Engine, run);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
    }

    /// <summary>The lengths of the writes of one extent, in pages; what they do not cover stays as it was in the file.</summary>
    private static List<int> Copy(TestBlock block)
    {
        List<int> writes = [];
        block.FillFile(Untouched);
        using var copier = new ExtentCopier(block.Image, Extent, bytes => writes.Add(bytes / Page.Size));
        block.Engine.BeginIteration(1);

        // No page is a hole, so that the copier sees them all.
        for (var page = 0; page < block.Layout.PageCount; page++)
        {
            if (block.Memory.IsHole(page))
                block.Memory.Fill(new PageRun(page, 1), 0);
        }

        block.Engine.TryScan(block.Image);
        Assert.True(block.Engine.TryTake(Extent, out var run));
        Assert.Equal(block.Layout.PageCount, run.Count);
        copier.Copy(block.Engine, run);
        return writes;
    }

    private static List<int> Segments(bool[] data)
    {
        List<int> segments = [];
        for (var page = Array.IndexOf(data, true); page >= 0;)
        {
            var last = page;
            for (int next; (next = Array.IndexOf(data, true, last + 1)) >= 0 && next - last - 1 <= BlockEngine.GapPages;)
                last = next;
            segments.Add(last - page + 1);
            page = Array.IndexOf(data, true, last + 1);
        }

        return segments;
    }
}

using System.Buffers.Binary;
using CsCheck;
using DistMigrate.MappedRam;

namespace DistMigrate.Tests.Unit.MappedRam;

public sealed class PageBitmapTests
{
    private static readonly Gen<(int Pages, (int Kind, int First, int Count)[] Steps)> GenHistory =
        from pages in Gen.OneOf(Gen.Int[1, 200], Gen.Int[63, 65], Gen.Int[127, 129])
        from steps in Gen.Select(Gen.Int[0, 6], Gen.Int[0, pages - 1], Gen.Int[0, pages]).Array[0, 40]
        select (pages, steps);

    [Fact]
    public void Bits_that_are_set_here_and_in_no_other_bitmap_are_counted_as_in_plain_arrays() =>
        Gen.Select(Gen.Int[1, 200], Gen.Int[0, 3], Gen.Int[0, 200], Gen.Int[0, 200], Gen.Int[0, 1_000_000]).Sample((pages, others, from, to, seed) =>
        {
            var random = new Random(seed);
            var models = Enumerable.Range(0, others + 1).Select(_ => Enumerable.Range(0, pages).Select(_ => random.Next(3) == 0).ToArray()).ToArray();
            var bitmaps = models.Select(FromModel).ToArray();
            var (first, end) = (Math.Min(Math.Min(from, to), pages), Math.Min(Math.Max(from, to), pages));
            var expected = Enumerable.Range(first, end - first).LongCount(page => models[0][page] && !models[1..].Any(model => model[page]));
            Assert.Equal(expected, bitmaps[0].CountRange(new PageRun(first, end - first), bitmaps.AsSpan(1)));
        });

    [Fact]
    public void Every_history_leaves_the_bits_and_the_change_counts_that_a_plain_array_has() =>
        GenHistory.Sample(history =>
        {
            var bitmap = new PageBitmap(history.Pages);
            var model = new bool[history.Pages];
            foreach (var (kind, first, count) in history.Steps)
            {
                var run = new PageRun(first, Math.Min(count, history.Pages - first));
                switch (kind)
                {
                    case 0:
                        Assert.Equal(!model[first], bitmap.Set(first));
                        model[first] = true;
                        break;
                    case 1:
                        Assert.Equal(model[first], bitmap.Clear(first));
                        model[first] = false;
                        break;
                    case 2:
                        Assert.Equal(CountIn(model, run, false), bitmap.SetRange(run));
                        Array.Fill(model, true, first, (int)run.Count);
                        break;
                    case 3:
                        Assert.Equal(CountIn(model, run, true), bitmap.ClearRange(run));
                        Array.Fill(model, false, first, (int)run.Count);
                        break;
                    case 4:
                        bitmap.SetAll();
                        Array.Fill(model, true);
                        break;
                    case 5:
                        bitmap.ClearAll();
                        Array.Clear(model);
                        break;
                    default:
                        var other = new PageBitmap(history.Pages);
                        other.SetRange(run);
                        bitmap.Or(other);
                        Array.Fill(model, true, first, (int)run.Count);
                        break;
                }

                Assert.Equal(CountIn(model, run, true), bitmap.CountRange(run));
            }

            AssertSame(model, bitmap);
        });

    [Fact]
    public void Runs_are_found_in_order_and_cover_exactly_the_set_pages() =>
        Gen.Select(Gen.Bool.Array[0, 300], Gen.Int[1, 100], Gen.Int[0, 300]).Sample((model, maxPages, start) =>
        {
            var bitmap = FromModel(model);
            var from = (long)Math.Min(start, model.Length);
            var found = new bool[model.Length];
            for (var next = from; bitmap.TryFindSetRun(next, maxPages, out var run); next = run.End)
            {
                Assert.InRange(run.Count, 1, maxPages);
                Assert.InRange(run.First, next, model.Length - 1);
                Assert.True(run.Count == maxPages || run.End == model.Length || !model[run.End], $"{run} stops before a set page");
                Array.Fill(found, true, (int)run.First, (int)run.Count);
            }

            Assert.Equal(model.Select((set, page) => set && page >= from), found);
        });

    [Fact]
    public void A_long_run_is_found_across_words_and_cut_at_the_limit()
    {
        var bitmap = PageBitmap.AllSet(1000);
        bitmap.Clear(700);
        Assert.True(bitmap.TryFindSetRun(5, long.MaxValue, out var run));
        Assert.Equal(new PageRun(5, 695), run);
        Assert.True(bitmap.TryFindSetRun(700, 128, out run));
        Assert.Equal(new PageRun(701, 128), run);
    }

    [Fact]
    public void Nothing_is_found_at_the_end_of_a_full_bitmap_or_in_an_empty_one()
    {
        Assert.False(PageBitmap.AllSet(64).TryFindSetRun(64, 1, out var run));
        Assert.Equal(default, run);
        Assert.False(new PageBitmap(0).TryFindSetRun(0, 1, out _));
        Assert.False(new PageBitmap(10_000).TryFindSetRun(0, 1, out _));
    }

    [Fact]
    public void Bytes_are_least_significant_bit_first_and_survive_the_way_through_the_file() =>
        Gen.Bool.Array[0, 300].Sample(model =>
        {
            var bitmap = FromModel(model);
            var bytes = new byte[PageBitmap.ByteLength(model.Length)];
            bitmap.CopyTo(bytes);
            for (var page = 0; page < bytes.Length * 8; page++)
            {
                Assert.Equal(page < model.Length && model[page], (bytes[page / 8] & (1 << (page % 8))) != 0);
            }

            AssertSame(model, PageBitmap.FromBytes(bytes, model.Length));
        });

    [Fact]
    public void Bytes_match_those_that_QEMU_wrote()
    {
        var bios = PageBitmap.FromBytes(Convert.FromHexString("0000feffffffffff"), 64);
        Assert.Equal(47, bios.Count());
        Assert.True(bios.TryFindSetRun(0, 100, out var run));
        Assert.Equal(new PageRun(17, 47), run);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 8)]
    [InlineData(64, 8)]
    [InlineData(65, 16)]
    [InlineData(16384, 2048)]
    [InlineData(long.MaxValue, 0x2000_0000_0000_0000 / 16 * 8)]
    public void The_length_in_the_file_is_whole_words(long pages, long bytes) => Assert.Equal(bytes, PageBitmap.ByteLength(pages));

    [Fact]
    public void A_bit_beyond_the_last_page_is_refused()
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, 1UL << 10);
        Assert.Equal(1, PageBitmap.FromBytes(bytes, 11).Count());
        Assert.Throws<ArgumentException>(() => PageBitmap.FromBytes(bytes, 10));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(70)]
    [InlineData(long.MaxValue)]
    [InlineData(long.MinValue)]
    public void A_page_outside_is_refused(long page)
    {
        var bitmap = new PageBitmap(70);
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap[page]);
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.Set(page));
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.Clear(page));
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, 71)]
    [InlineData(70, 1)]
    [InlineData(5, -1)]
    [InlineData(1, long.MaxValue)]
    public void A_run_that_leaves_the_bitmap_is_refused(long first, long count)
    {
        var bitmap = new PageBitmap(70);
        var run = new PageRun(first, count);
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.SetRange(run));
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.ClearRange(run));
        Assert.Throws<ArgumentOutOfRangeException>(() => bitmap.CountRange(run));
    }

    [Fact]
    public void Bitmaps_of_different_sizes_are_not_merged() =>
        Assert.Throws<ArgumentException>(() => new PageBitmap(64).Or(new PageBitmap(65)));

    [Fact]
    public void Bytes_of_another_length_are_refused()
    {
        Assert.Throws<ArgumentException>(() => PageBitmap.FromBytes(new byte[8], 65));
        Assert.Throws<ArgumentException>(() => new PageBitmap(65).CopyTo(new byte[15]));
    }

    [Fact]
    public void A_run_knows_its_place_in_bytes()
    {
        var run = new PageRun(17, 47);
        Assert.Equal((64, 17 * 4096, 47 * 4096), (run.End, run.Offset, run.Length));
    }

    [Fact]
    public void Lengths_that_are_not_whole_pages_have_no_page_count()
    {
        Assert.Equal(16384, Page.Count(64 << 20));
        Assert.Throws<ArgumentOutOfRangeException>(() => Page.Count(4095));
        Assert.Throws<ArgumentOutOfRangeException>(() => Page.Count(-4096));
    }

    private static PageBitmap FromModel(bool[] model)
    {
        var bitmap = new PageBitmap(model.Length);
        for (var page = 0; page < model.Length; page++)
        {
            if (model[page])
            {
                bitmap.Set(page);
            }
        }

        return bitmap;
    }

    private static long CountIn(bool[] model, PageRun run, bool value) =>
        model.Skip((int)run.First).Take((int)run.Count).LongCount(set => set == value);

    private static void AssertSame(bool[] model, PageBitmap bitmap)
    {
        Assert.Equal(model, Enumerable.Range(0, model.Length).Select(page => bitmap[page]));
        Assert.Equal(model.LongCount(set => set), bitmap.Count());
        var bytes = new byte[PageBitmap.ByteLength(model.Length)];
        bitmap.CopyTo(bytes);
        Assert.Equal(bitmap.Count(), bytes.Sum(value => (long)byte.PopCount(value)));
    }
}

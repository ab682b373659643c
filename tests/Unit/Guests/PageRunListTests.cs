using CsCheck;
using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Tests.Unit.Guests;

public sealed class PageRunListTests
{
    [Fact]
    public void Runs_hold_exactly_the_pages_that_the_ranges_touch_and_touch_nowhere()
    {
        const int pages = 20;
        Gen.Select(Gen.Int[0, (pages * Page.Size) + 5000], Gen.Int[0, 9000]).Array[0, 12].Sample(ranges =>
        {
            var list = new PageRunList(pages * Page.Size);
            var expected = new bool[pages];
            foreach (var (start, length) in ranges.OrderBy(r => r.Item1))
            {
                list.Add(start, start + length);
                for (var i = 0; i < pages; i++)
                    expected[i] |= length > 0 && start < (i + 1) * Page.Size && start + length > i * Page.Size;
            }

            var got = new bool[pages];
            foreach (var run in list.Runs)
                Array.Fill(got, true, (int)run.First, (int)run.Count);
            return got.SequenceEqual(expected) && list.Runs.Zip(list.Runs.Skip(1)).All(p => p.First.First + p.First.Count < p.Second.First);
        });
    }

    [Fact]
    public void The_whole_is_one_run() => Assert.Equal([new PageRun(0, 3)], PageRunList.Whole(3 * Page.Size));
}

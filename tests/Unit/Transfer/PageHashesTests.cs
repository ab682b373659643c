using System.IO.Hashing;
using CsCheck;
using DistMigrate.MappedRam;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class PageHashesTests
{
    [Fact]
    public void The_digest_is_over_the_hashes_of_the_present_pages_in_page_order() =>
        Gen.Select(Gen.Bool, Gen.ULong).Array[1, 200].Sample(pages =>
        {
            using var hashes = new PageHashes(pages.Length);
            var present = new PageBitmap(pages.Length);
            var expected = new XxHash128();
            for (var page = 0; page < pages.Length; page++)
            {
                hashes[page] = new UInt128(pages[page].Item2, (ulong)page);
                if (!pages[page].Item1)
                    continue;
                present.Set(page);
                expected.Append(BitConverter.GetBytes((ulong)page));
                expected.Append(BitConverter.GetBytes(pages[page].Item2));
            }

            Assert.Equal(expected.GetCurrentHashAsUInt128(), hashes.Digest(present));
        });

    [Fact]
    public void A_page_that_was_never_hashed_reads_as_nought() => Assert.Equal(UInt128.Zero, new PageHashes(3)[2]);

    [Theory]
    [InlineData(-1)]
    [InlineData(3)]
    [InlineData(long.MaxValue)]
    public void A_page_outside_the_block_is_refused(long page)
    {
        using var hashes = new PageHashes(3);
        Assert.Throws<ArgumentOutOfRangeException>(() => hashes[page]);
        Assert.Throws<ArgumentOutOfRangeException>(() => hashes[page] = 1);
    }

    [Fact]
    public void A_bitmap_of_more_pages_than_the_block_has_is_refused()
    {
        using var hashes = new PageHashes(3);
        Assert.Throws<ArgumentOutOfRangeException>(() => hashes.Digest(PageBitmap.AllSet(4)));
    }

    [Fact]
    public void After_they_are_released_nothing_is_read_or_written()
    {
        var hashes = new PageHashes(3);
        hashes.Dispose();
        hashes.Dispose();
        Assert.Throws<ObjectDisposedException>(() => hashes[0]);
        Assert.Throws<ObjectDisposedException>(() => hashes[0] = 1);
    }
}

using CsCheck;
using DistMigrate.Client.Connection;
using DistMigrate.Client.Values;
using Microsoft.Extensions.Time.Testing;

namespace DistMigrate.Tests.Unit.Client;

public sealed class ValuesTests
{
    [Theory]
    [InlineData("4096", 4096)]
    [InlineData("256MiB", 256L << 20)]
    [InlineData("256 mib", 256L << 20)]
    [InlineData("1G", 1L << 30)]
    [InlineData("1.5k", 1536)]
    [InlineData("2MB", 2_000_000)]
    [InlineData("0", 0)]
    public void A_size_is_read(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out var read));
        Assert.Equal(bytes, read);
    }

    [Theory]
    [InlineData("")]
    [InlineData("MiB")]
    [InlineData("-1")]
    [InlineData("1X")]
    [InlineData("1.2.3")]
    [InlineData("1 Mi B")]
    [InlineData("9000000T")]
    [InlineData("99999999999999999999999999999999999999")]
    public void What_is_no_size_is_refused(string text) => Assert.False(ByteSize.TryParse(text, out _));

    [Theory]
    [InlineData("500MiB/s", 500L << 20)]
    [InlineData("500MiB", 500L << 20)]
    [InlineData("1g/S", 1L << 30)]
    public void A_rate_is_read_with_and_without_its_second(string text, long bytes)
    {
        Assert.True(ByteSize.TryParseRate(text, out var read));
        Assert.Equal(bytes, read);
    }

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1024, "1 KiB")]
    [InlineData(256L << 20, "256 MiB")]
    [InlineData(3L << 29, "1.50 GiB")]
    [InlineData(12_345_678, "11.8 MiB")]
    [InlineData((1L << 30) - 1, "1 GiB")]
    [InlineData(long.MaxValue, "8 EiB")]
    public void A_size_is_written_with_three_digits(long bytes, string text) => Assert.Equal(text, ByteSize.Format(bytes));

    [Fact]
    public void A_written_size_reads_back_within_a_hundredth() => Gen.Long[1, 1L << 45].Sample(
        bytes =>
        {
            Assert.True(ByteSize.TryParse(ByteSize.Format(bytes), out var read));
            Assert.InRange(read, bytes * 0.99, bytes * 1.01);
        },
        seed: "0000MiG3LbT0", iter: 2000);

    [Theory]
    [InlineData("30", 30)]
    [InlineData("90s", 90)]
    [InlineData("5m", 300)]
    [InlineData("1h30m", 5400)]
    [InlineData("1h 30m", 5400)]
    [InlineData("500ms", 0.5)]
    [InlineData("1.5min", 90)]
    [InlineData("1d", 86400)]
    public void A_duration_is_read(string text, double seconds)
    {
        Assert.True(DurationText.TryParse(text, out var read));
        Assert.Equal(TimeSpan.FromSeconds(seconds), read);
    }

    [Theory]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("5x")]
    [InlineData("-5s")]
    [InlineData("1h30")]
    [InlineData("99999999999999d")]
    [InlineData("9999999999999999999999999999999999999999")]
    public void What_is_no_duration_is_refused(string text) => Assert.False(DurationText.TryParse(text, out _));

    [Theory]
    [InlineData(0, "0 s")]
    [InlineData(12, "12 ms")]
    [InlineData(420, "0.42 s")]
    [InlineData(9_996, "10.0 s")]
    [InlineData(59_960, "1 min 00 s")]
    [InlineData(125_000, "2 min 05 s")]
    [InlineData(3_725_000, "1 h 02 min")]
    [InlineData(615_600_000, "7 d 03 h")]
    public void A_duration_is_written(int milliseconds, string text) =>
        Assert.Equal(text, DurationText.Format(TimeSpan.FromMilliseconds(milliseconds)));

    [Fact]
    public void A_count_is_written_in_groups_of_three() => Assert.Equal("1 065 536", Printable.Count(1_065_536));

    [Fact]
    public void A_name_cannot_steer_the_terminal() => Assert.Equal(@"a\u001b[2Jb\u202ec", Printable.Of("a\u001b[2Jb\u202ec"));

    [Fact]
    public void Line_ends_stay_where_they_are_wanted() => Assert.Equal("a\nb\\u0007", Printable.Lines("a\r\nb\u0007"));

    [Theory]
    [InlineData("web-1.example_2", true)]
    [InlineData("", false)]
    [InlineData("a b", false)]
    [InlineData("ä", false)]
    [InlineData("a/b", false)]
    public void A_guest_name_is_judged(string name, bool valid) => Assert.Equal(valid, GuestName.IsValid(name));

    [Fact]
    public void A_guest_name_has_at_most_64_characters()
    {
        Assert.True(GuestName.IsValid(new string('a', 64)));
        Assert.False(GuestName.IsValid(new string('a', 65)));
    }

    [Fact]
    public void A_guest_name_from_any_image_is_valid() =>
        Gen.String.Sample(name => Assert.True(GuestName.IsValid(GuestName.OfImage("/images/" + name))), seed: "0000MiG3LbT1", iter: 2000);

    [Fact]
    public void A_guest_is_named_after_its_image() => Assert.Equal("my-guest.old", GuestName.OfImage("/images/my guest.old.img"));

    [Fact]
    public void Ids_sort_by_the_time_of_their_making()
    {
        var time = new FakeTimeProvider(TestMigration.Moment);
        var ids = new List<string>();
        for (var i = 0; i < 100; i++)
        {
            ids.Add(MigrationIds.Next(time));
            time.Advance(TimeSpan.FromMilliseconds(1 + (i * 1000)));
        }
        Assert.Equal(ids.Order(StringComparer.Ordinal), ids);
    }

    [Fact]
    public void Ids_of_the_same_moment_differ()
    {
        var time = new FakeTimeProvider(TestMigration.Moment);
        var ids = Enumerable.Range(0, 50).Select(_ => MigrationIds.Next(time)).ToHashSet();
        Assert.Equal(50, ids.Count);
    }

    [Fact]
    public void An_id_is_short_and_can_be_a_guest_name_or_file_name()
    {
        var id = MigrationIds.Next(TimeProvider.System);
        Assert.Matches("^m-[0-9a-hjkmnp-tv-z]{14}$", id);
        Assert.Equal(MigrationIds.Length, id.Length);
    }
}

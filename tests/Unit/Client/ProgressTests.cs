using DistMigrate.Client.Output;
using DistMigrate.Client.Watching;
using DistMigrate.Contracts;
using Microsoft.Extensions.Time.Testing;
using Spectre.Console;

namespace DistMigrate.Tests.Unit.Client;

public sealed class ProgressTests : IDisposable
{
    private readonly FakeTimeProvider _time = new(TestMigration.Moment);
    private readonly TestSurroundings _test = new();

    public void Dispose() => _test.Dispose();

    [Fact]
    public void A_line_comes_on_each_phase_change_and_every_five_seconds()
    {
        var progress = new LineProgress(_test.Terminal(), _time);
        Show(MigrationPhase.Setup);
        Show(MigrationPhase.Setup);
        Assert.Equal(1, Lines());
        Show(MigrationPhase.Active);
        Assert.Equal(2, Lines());
        _time.Advance(TimeSpan.FromSeconds(4.9));
        Show(MigrationPhase.Active);
        Assert.Equal(2, Lines());
        _time.Advance(TimeSpan.FromSeconds(0.1));
        Show(MigrationPhase.Active);
        Assert.Equal(3, Lines());
        Assert.Empty(_test.Out);

        void Show(MigrationPhase phase) => progress.Show(new Snapshot(TestMigration.Status(phase), []));
        int Lines() => _test.Error.Count(c => c == '\n');
    }

    [Fact]
    public void A_line_says_how_far_it_is_and_how_long_it_takes() => Assert.Equal(
        "m-1 active: 3 GiB of 4 GiB (75 %), 512 MiB/s, 2 s left".Replace("2 s", "2.00 s", StringComparison.Ordinal),
        LineProgress.Line(TestMigration.Status(rate: 512 << 20), TimeSpan.FromSeconds(2), TimeProvider.System));

    [Fact]
    public void A_line_of_a_failure_leaves_the_sentence_to_the_error() => Assert.DoesNotContain(
        "no space", LineProgress.Line(TestMigration.Status(MigrationPhase.Failed, FailureReason.NoSpace, "no space"), null, TimeProvider.System), StringComparison.Ordinal);

    [Fact]
    public void Nothing_is_a_hundred_per_cent_before_the_last_byte() => Assert.Equal("99 %", LineProgress.Percent(999_999, 1_000_000));

    [Fact]
    public void The_time_left_follows_the_bytes_of_the_last_seconds()
    {
        var estimate = new ProgressEstimate(_time);
        Assert.Null(Next(remaining: 1000));
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(TimeSpan.FromSeconds(9), Next(remaining: 900));
        for (var remaining = 890; remaining >= 700; remaining -= 10)
        {
            // A tenth of the speed; after the window only that counts.
            _time.Advance(TimeSpan.FromSeconds(1));
            Next(remaining);
        }
        Assert.Equal(70, Next(remaining: 700)!.Value.TotalSeconds, 1.0);

        TimeSpan? Next(long remaining) => estimate.Next(new RamCounters(1000, 0, remaining, 0, 0, 0, 0));
    }

    [Fact]
    public void The_time_left_is_unknown_while_nothing_moves()
    {
        var estimate = new ProgressEstimate(_time);
        for (var i = 0; i < 5; i++)
        {
            Assert.Null(estimate.Next(new RamCounters(1000, 0, 500, 0, 0, 0, 0)));
            _time.Advance(TimeSpan.FromSeconds(1));
        }
    }

    [Fact]
    public void The_picture_has_a_bar_for_each_large_block_and_one_for_the_small_ones()
    {
        using var test = new TestSurroundings();
        var terminal = test.Terminal();
        var picture = new LiveProgress(terminal, _time).Draw(
            new Snapshot(
                TestMigration.Status(),
                [
                    TestMigration.Block("pc.ram", 2L << 30),
                    TestMigration.Block("mem\u001b[2J", 1L << 30, activity: BlockActivity.Failed, error: "EIO at 0x1000"),
                    TestMigration.Block("pc.bios", 256 << 10),
                    TestMigration.Block("pc.rom", 128 << 10),
                ]),
            "trying again");
        terminal.Out.Write(picture);
        var lines = test.Out.Split('\n');

        Assert.Contains(lines, line => line.Contains("save web → /images/web.img", StringComparison.Ordinal) && line.Contains("[active]", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("all memory", StringComparison.Ordinal) && line.Contains("75 %", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("pc.ram", StringComparison.Ordinal) && line.Contains("50 %", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith(@"mem\u001b[2J", StringComparison.Ordinal) && line.Contains("EIO at 0x1000", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("2 small blocks", StringComparison.Ordinal) && line.Contains("192 KiB of 384 KiB", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("trying again", StringComparison.Ordinal));
        Assert.DoesNotContain(lines, line => line.StartsWith("pc.bios", StringComparison.Ordinal));
    }

    [Fact]
    public void More_blocks_than_lines_are_summed()
    {
        using var test = new TestSurroundings();
        var terminal = test.Terminal();
        var blocks = Enumerable.Range(0, 100).Select(i => TestMigration.Block($"mem{i}", 1 << 30)).ToList();
        terminal.Out.Write(new LiveProgress(terminal, _time).Draw(new Snapshot(TestMigration.Status(), blocks), null));
        Assert.InRange(test.Out.Split('\n').Length, 10, 24);
        Assert.Contains("more blocks", test.Out, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true, null, null, false, true)]
    [InlineData(false, null, null, false, false)]
    [InlineData(false, null, "1", false, true)]
    [InlineData(false, null, "0", false, false)]
    [InlineData(true, "1", null, false, false)]
    [InlineData(true, "1", "1", false, false)]
    [InlineData(true, "", null, false, true)]
    [InlineData(true, null, "1", true, false)]
    public void Colours_follow_the_flag_then_NO_COLOR_then_CLICOLOR_FORCE(bool terminal, string? no, string? force, bool flag, bool wanted)
    {
        if (no is not null)
            _test.Variables["NO_COLOR"] = no;
        if (force is not null)
            _test.Variables["CLICOLOR_FORCE"] = force;
        Assert.Equal(wanted, Terminal.WantsColor(_test.Surroundings, terminal, flag));
    }
}

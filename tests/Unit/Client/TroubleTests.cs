using System.Text.Json;
using DistMigrate.Client.Commands;
using DistMigrate.Client.Output;
using DistMigrate.Client.Watching;
using DistMigrate.Contracts;
using Microsoft.Extensions.Time.Testing;

namespace DistMigrate.Tests.Unit.Client;

public sealed class TroubleTests : IDisposable
{
    private static readonly StorageTrouble NoSpace = new(
        FailureReason.NoSpace, "fallocate failed.", TestMigration.Moment.AddMinutes(-3), Attempts: 7, TestMigration.Moment.AddSeconds(12), StuckWrites: 0);

    private readonly FakeTimeProvider _time = new(TestMigration.Moment);
    private readonly TestSurroundings _test = new();

    public void Dispose() => _test.Dispose();

    [Theory]
    [InlineData(nameof(MigrationPhase.Completed), true)]
    [InlineData(nameof(MigrationPhase.Failed), true)]
    [InlineData(nameof(MigrationPhase.Cancelled), true)]
    [InlineData(nameof(MigrationPhase.NeedsAttention), true)]
    [InlineData(nameof(MigrationPhase.Paused), true)]
    [InlineData(nameof(MigrationPhase.Active), false)]
    [InlineData(nameof(MigrationPhase.Queued), false)]
    [InlineData(nameof(MigrationPhase.Cancelling), false)]
    public void Waiting_is_over_when_nothing_goes_on_by_itself(string phase, bool isOver) =>
        Assert.Equal(isOver, Standstill.IsOver(TestMigration.Status(Enum.Parse<MigrationPhase>(phase))));

    [Fact]
    public void A_migration_that_is_paused_for_its_storage_is_waited_for_and_one_that_the_operator_paused_is_not()
    {
        var paused = Paused(NoSpace);
        Assert.False(Standstill.IsOver(paused));
        Assert.True(Standstill.IsOver(paused with { Trouble = NoSpace with { NextTry = null, Reason = FailureReason.PausedByOperator } }));
        // A try that is due makes no difference between paused and needs-attention.
        Assert.True(Standstill.IsOver(paused with { Phase = MigrationPhase.NeedsAttention }));
    }

    [Fact]
    public void What_was_resumed_may_still_look_paused_for_a_while()
    {
        var standstill = new Standstill(TimeSpan.FromSeconds(5), _time);
        var paused = Paused(NoSpace with { NextTry = null });
        Assert.False(standstill.IsReached(paused));
        _time.Advance(TimeSpan.FromSeconds(4.9));
        Assert.False(standstill.IsReached(paused));
        // It went on, and was paused once more: that counts from its own beginning.
        Assert.False(standstill.IsReached(TestMigration.Status(MigrationPhase.Setup)));
        Assert.False(standstill.IsReached(paused with { PhaseSince = _time.GetUtcNow() }));
        _time.Advance(TimeSpan.FromSeconds(4.9));
        Assert.False(standstill.IsReached(paused with { PhaseSince = TestMigration.Moment.AddSeconds(4.9) }));
        _time.Advance(TimeSpan.FromSeconds(0.1));
        Assert.True(standstill.IsReached(paused with { PhaseSince = TestMigration.Moment.AddSeconds(4.9) }));
        Assert.True(new Standstill(TimeSpan.FromSeconds(5), _time).IsReached(TestMigration.Status(MigrationPhase.Completed)));
        Assert.True(new Standstill(TimeSpan.Zero, _time).IsReached(paused));
    }

    [Fact]
    public void A_line_of_a_paused_migration_says_why_and_when_it_is_tried_again() => Assert.Equal(
        "m-1 paused: 3 GiB of 4 GiB (75 %), no space, tried again at 03:04:17 (7 tries so far), fallocate failed.",
        LineProgress.Line(Paused(NoSpace), null, _time));

    [Theory]
    [InlineData(0, 0, "no space, tried again at 03:04:17")]
    [InlineData(1, 1, "no space, tried again at 03:04:17 (1 try so far), 1 write does not return")]
    [InlineData(2, 3, "no space, tried again at 03:04:17 (2 tries so far), 3 writes do not return")]
    public void Tries_and_stuck_writes_are_counted(int attempts, int stuck, string text) =>
        Assert.Equal(text, TroubleText.Short(Paused(NoSpace with { Attempts = attempts, StuckWrites = stuck }), _time));

    [Fact]
    public void Trouble_that_has_ended_is_not_told()
    {
        Assert.Null(TroubleText.Short(TestMigration.Status(MigrationPhase.Completed) with { Trouble = NoSpace }, _time));
        Assert.Empty(TroubleText.Of(TestMigration.Status(MigrationPhase.Completed) with { Trouble = NoSpace }, _time));
        Assert.Empty(TroubleText.Of(TestMigration.Status(), _time));
    }

    [Fact]
    public void While_it_is_paused_each_failed_try_is_one_line()
    {
        var progress = new LineProgress(_test.Terminal(), _time);
        Show(7);
        Assert.Equal(1, Lines());
        _time.Advance(TimeSpan.FromMinutes(10));
        Show(7);
        Assert.Equal(1, Lines());
        Show(8);
        Assert.Equal(2, Lines());

        void Show(int attempts) => progress.Show(new Snapshot(Paused(NoSpace with { Attempts = attempts }), []));
        int Lines() => _test.Error.Count(c => c == '\n');
    }

    [Fact]
    public void The_picture_says_what_is_wrong_and_when_it_is_tried_again()
    {
        var terminal = _test.Terminal();
        terminal.Out.Write(new LiveProgress(terminal, _time).Draw(new Snapshot(Paused(NoSpace), []), null));
        Assert.Contains("no space, tried again at 03:04:17 (7 tries so far)", _test.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void The_status_says_what_is_wrong_since_when_what_comes_next_and_what_to_do()
    {
        _test.Terminal().Show(Paused(NoSpace with { StuckWrites = 2 }), _time);
        Assert.Matches(@"(?m)^phase +paused$", _test.Out);
        Assert.Matches(@"(?m)^reason +no-space$", _test.Out);
        Assert.Matches(@"(?m)^trouble +no space$", _test.Out);
        Assert.Matches(@"(?m)^trouble since +2026-01-02 03:01:05 \(3 min 00 s\)$", _test.Out);
        Assert.Matches(@"(?m)^tried again +7 times$", _test.Out);
        Assert.Matches(@"(?m)^next try +2026-01-02 03:04:17 \(in 12\.0 s\): the storage is probed", _test.Out);
        Assert.Matches(@"(?m)^stuck writes +2 that do not return", _test.Out);
        Assert.Matches(@"(?m)^what to do +free space .*'distmigrate resume m-1' .*'distmigrate cancel m-1'", _test.Out);
        // The message says it already.
        Assert.DoesNotContain("last failure", _test.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pause_of_the_operator_ends_by_resume_only()
    {
        _test.Terminal().Show(Paused(NoSpace with { NextTry = null, Reason = FailureReason.PausedByOperator }), _time);
        Assert.Matches(@"(?m)^next try +none by itself$", _test.Out);
        Assert.DoesNotContain("tried again", _test.Out, StringComparison.Ordinal);
        Assert.Matches(@"(?m)^what to do +'distmigrate resume m-1' goes on", _test.Out);
    }

    [Fact]
    public void A_migration_that_still_tries_says_how_to_let_it_wait()
    {
        _test.Terminal().Show(TestMigration.Status() with { Trouble = NoSpace with { Reason = FailureReason.StorageError } }, _time);
        Assert.Matches(@"(?m)^next try .*: the call that failed is repeated$", _test.Out);
        Assert.Matches(@"(?m)^last failure +fallocate failed\.$", _test.Out);
        Assert.Matches(@"(?m)^what to do +look at the storage .*'distmigrate pause m-1'", _test.Out);
    }

    [Fact]
    public void Needs_attention_says_what_resume_and_cancel_mean_then()
    {
        _test.Terminal().Show(TestMigration.Status(MigrationPhase.NeedsAttention, FailureReason.MonitorFailed), _time);
        Assert.Matches(@"(?m)^what to do +'distmigrate resume m-1' tries again to treat the guest as asked", _test.Out);
    }

    [Fact]
    public void A_move_that_needs_attention_is_decided_by_adopt()
    {
        var status = TestMigration.Status(MigrationPhase.NeedsAttention, FailureReason.HostUnavailable);
        var request = status.Spec.Request with { Kind = MigrationKind.Move, Move = new MoveOptions("host-b") };
        _test.Terminal().Show(status with { Spec = status.Spec with { Request = request } }, _time);
        Assert.Matches(@"(?m)^what to do +look at host-b; 'distmigrate adopt m-1 --on host-b' .*'distmigrate adopt m-1 --on host-a'", _test.Out);
        Assert.DoesNotContain("resume", _test.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void Trouble_is_told_as_JSON()
    {
        _test.Terminal(OutputFormat.Json).Show(Paused(NoSpace), _time);
        var trouble = Json().GetProperty("trouble");
        Assert.Equal("no-space", trouble.GetProperty("reason").GetString());
        Assert.Equal("fallocate failed.", trouble.GetProperty("error").GetString());
        Assert.Equal(NoSpace.Since, trouble.GetProperty("since").GetDateTimeOffset());
        Assert.Equal(7, trouble.GetProperty("attempts").GetInt32());
        Assert.Equal(NoSpace.NextTry, trouble.GetProperty("next-try").GetDateTimeOffset());
        Assert.Equal(0, trouble.GetProperty("stuck-writes").GetInt32());
    }

    [Fact]
    public void Without_trouble_or_a_next_try_JSON_leaves_them_out()
    {
        Assert.Null(MigrationOutput.ToDocument(TestMigration.Status()).Trouble);
        _test.Terminal(OutputFormat.Json).Show(Paused(NoSpace with { NextTry = null }), _time);
        Assert.False(Json().GetProperty("trouble").TryGetProperty("next-try", out _));
    }

    [Fact]
    public void Blocks_with_failures_show_why_their_pages_were_written()
    {
        var block = TestMigration.Block("pc.ram", 1 << 20, error: "EIO") with { WrittenPages = new WrittenPages(1000, 20, 3), FailedPages = 64 };
        _test.Terminal().Show("m-1", [block], showsFailures: true);
        Assert.Matches(@"(?m)^RAMBLOCK +ACTIVITY +SIZE +FAILED +DIRTY +DURABLE +FIRST +REDIRTIED +RESUMED +ERRORS +ERROR", _test.Out);
        Assert.Matches(@"(?m)^pc\.ram +iterating +1 MiB +64 +128 +0 +1 000 +20 +3 +0 +EIO", _test.Out);
    }

    [Fact]
    public void Blocks_as_JSON_always_tell_why_their_pages_were_written()
    {
        _test.Terminal(OutputFormat.Json).Show(
            "m-1", [TestMigration.Block("pc.ram", 1 << 20) with { WrittenPages = new WrittenPages(1000, 20, 3), FailedPages = 64 }]);
        var block = Json().GetProperty("blocks")[0];
        Assert.Equal(
            (1000, 20, 3, 64),
            (Number("written-first"), Number("written-redirtied"), Number("written-resumed"), Number("pages-failed")));

        int Number(string name) => block.GetProperty(name).GetInt32();
    }

    [Fact]
    public void The_exit_code_of_several_is_that_of_the_first_that_did_not_succeed()
    {
        Assert.Equal(0, ResumeCommand.Combine([]));
        Assert.Equal(0, ResumeCommand.Combine([0, 0]));
        Assert.Equal(4, ResumeCommand.Combine([0, 4, 10]));
    }

    private JsonElement Json() => JsonDocument.Parse(_test.Out).RootElement;

    private static MigrationStatus Paused(StorageTrouble trouble) =>
        TestMigration.Status(MigrationPhase.Paused, trouble.Reason, "fallocate failed.") with { Trouble = trouble };
}

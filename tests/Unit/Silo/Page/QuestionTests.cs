using DistMigrate.Contracts;
using DistMigrate.Silo.Page;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace DistMigrate.Tests.Unit.Silo.Page;

public sealed class QuestionTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(2);

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));
    private readonly Queue<TaskCompletionSource<string>> _calls = new();
    private readonly Question<string> _question;

    public QuestionTests() => _question = new Question<string>(
        "host hv2",
        () =>
        {
            var call = new TaskCompletionSource<string>();
            _calls.Enqueue(call);
            return call.Task;
        },
        Limit, _time, NullLogger.Instance);

    [Fact]
    public async Task What_answers_is_heard()
    {
        var asking = _question.AskAsync();
        _calls.Dequeue().SetResult("here");
        Assert.Equal(new Answer<string>("here", _time.GetUtcNow(), null), await asking);
    }

    [Fact]
    public async Task What_does_not_answer_keeps_its_last_answer_and_is_silent_since_it_was_first_asked_in_vain()
    {
        var heard = _time.GetUtcNow();
        var first = _question.AskAsync();
        _calls.Dequeue().SetResult("here");
        await first;

        _time.Advance(TimeSpan.FromSeconds(10));
        var since = _time.GetUtcNow();
        for (var i = 0; i < 3; i++)
        {
            var asking = _question.AskAsync();
            _time.Advance(Limit);
            var answer = await asking;
            Assert.Equal(("here", heard), (answer.Value, answer.At));
            Assert.Equal(("host hv2", since, heard), (answer.Silence!.What, answer.Silence.Since, answer.Silence.LastAnswer));
        }

        // A call that hangs is waited for by all, and not repeated.
        var call = Assert.Single(_calls);
        _time.Advance(TimeSpan.FromSeconds(1));
        var late = _question.AskAsync();
        call.SetResult("again");
        Assert.Equal(new Answer<string>("again", _time.GetUtcNow(), null), await late);
    }

    [Fact]
    public async Task An_answer_that_comes_after_the_limit_is_taken_when_it_comes()
    {
        var asking = _question.AskAsync();
        _time.Advance(Limit);
        Assert.Null((await asking).Value);
        _calls.Dequeue().SetResult("late");
        Assert.Equal(new Answer<string>("late", _time.GetUtcNow(), null), _question.Last);
    }

    [Fact]
    public async Task A_refusal_is_told_in_its_own_words_and_any_other_failure_only_by_its_kind()
    {
        var refused = _question.AskAsync();
        _calls.Dequeue().SetException(new MigrationException(FailureReason.HostUnavailable, "Host hv2 has no silo in the cluster."));
        Assert.Equal("Host hv2 has no silo in the cluster.", (await refused).Silence!.Error);

        var failed = _question.AskAsync();
        _calls.Dequeue().SetException(new InvalidOperationException("redis:6379,password=hunter2"));
        var error = (await failed).Silence!.Error;
        Assert.Contains(nameof(InvalidOperationException), error, StringComparison.Ordinal);
        Assert.DoesNotContain("hunter2", error, StringComparison.Ordinal);
    }
}

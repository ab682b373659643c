using DistMigrate.Contracts;
using DistMigrate.Grains;
using DistMigrate.Transfer;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace DistMigrate.Tests.Unit.Grains;

public sealed class StepRunnerTests : IDisposable
{
    private static readonly TimeSpan Slice = TimeSpan.FromSeconds(1);

    private readonly FakeTimeProvider _time = new();
    private readonly StepRunner _steps;

    public StepRunnerTests() => _steps = new StepRunner(_time, NullLogger.Instance);

    [Fact]
    public async Task A_step_that_is_asked_for_again_runs_once_and_answers_the_same()
    {
        var runs = 0;
        Task Work(CancellationToken _)
        {
            Interlocked.Increment(ref runs);
            return Task.CompletedTask;
        }

        for (var i = 0; i < 3; i++)
            Assert.Equal((HostStep.Done, null), await _steps.RunAsync("open", Work, Slice));
        Assert.Equal(1, runs);
    }

    [Fact]
    public async Task A_step_that_takes_longer_than_the_slice_is_told_as_working_and_goes_on()
    {
        var runs = 0;
        var end = new TaskCompletionSource();
        Task Work(CancellationToken _)
        {
            Interlocked.Increment(ref runs);
            return end.Task;
        }

        var first = _steps.RunAsync("copy", Work, Slice);
        _time.Advance(Slice / 2);
        Assert.False(first.IsCompleted);
        _time.Advance(Slice / 2);
        Assert.Equal((HostStep.Working, null), await first);
        var second = _steps.RunAsync("copy", Work, Slice);
        end.SetResult();
        Assert.Equal((HostStep.Done, null), await second);
        Assert.Equal(1, runs);
    }

    [Fact]
    public async Task A_failure_has_its_reason_and_is_told_again_without_a_second_attempt()
    {
        var runs = 0;
        Task Work(CancellationToken _) => throw new ImageException(ImageFault.NoSpace, $"full {++runs}");
        for (var i = 0; i < 2; i++)
        {
            var (step, failure) = await _steps.RunAsync("open", Work, Slice);
            Assert.Equal((HostStep.Failed, FailureReason.NoSpace, "full 1"), (step, failure!.Reason, failure.Message));
        }
    }

    [Fact]
    public async Task A_cancel_waits_for_the_steps_under_way_and_reaches_those_that_come_later()
    {
        var first = _steps.RunAsync("open", token => Task.Delay(Timeout.Infinite, token), Slice);
        await _steps.CancelAsync(except: null, Slice);
        Assert.Equal((HostStep.Failed, FailureReason.Cancelled), Told(await first));
        Assert.Equal((HostStep.Failed, FailureReason.Cancelled), Told(await _steps.RunAsync("stop", token => Task.Delay(Timeout.Infinite, token), Slice)));
    }

    [Fact]
    public async Task A_cancel_waits_no_longer_than_its_limit_for_a_step_that_hangs()
    {
        var end = new TaskCompletionSource();
        var hung = _steps.RunAsync("publish", _ => end.Task, Slice * 10);
        var cancel = _steps.CancelAsync(except: null, Slice);
        Assert.False(cancel.IsCompleted);
        _time.Advance(Slice);
        await cancel;
        end.SetResult();
        Assert.Equal((HostStep.Done, null), await hung);
    }

    [Fact]
    public async Task A_step_may_cancel_the_others_without_waiting_for_itself()
    {
        var other = _steps.RunAsync("open", token => Task.Delay(Timeout.Infinite, token), Slice);
        var abort = await _steps.RunAsync("abort", _ => _steps.CancelAsync("abort", Slice), Slice);
        Assert.Equal((HostStep.Done, null), abort);
        Assert.Equal(FailureReason.Cancelled, (await other).Failure?.Reason);
    }

    public void Dispose() => _steps.Dispose();

    private static (HostStep Step, FailureReason? Reason) Told((HostStep Step, MigrationException? Failure) outcome) => (outcome.Step, outcome.Failure?.Reason);
}

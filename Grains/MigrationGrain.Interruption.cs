using DistMigrate.Contracts;
using DistMigrate.Grains.Metrics;

namespace DistMigrate.Grains;

/// <summary>What becomes of a migration when something fails: it ends, or it is interrupted and taken up again.</summary>
internal sealed partial class MigrationGrain
{
    /// <summary>How often a paused migration looks whether its time has come.</summary>
    private static readonly TimeSpan PausedTick = TimeSpan.FromMilliseconds(250);

    /// <summary>Before the storage of a paused migration is tried for the first time; doubled each time, up to <see cref="LongestPause"/>.</summary>
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);

    private static bool IsCancellable(MigrationStep step) => IsSuspendable(step)
        || step is MigrationStep.Reserve or MigrationStep.Prepare or MigrationStep.Open or MigrationStep.Load or MigrationStep.Paused;

    private static bool IsSuspendable(MigrationStep step) => step is MigrationStep.Stop or MigrationStep.Sync or MigrationStep.Copy
        or MigrationStep.DeviceState or MigrationStep.HandOver or MigrationStep.Publish or MigrationStep.Resume
        or MigrationStep.Pass or MigrationStep.Look or MigrationStep.SwitchOver;

    /// <summary>Before anything was written there is nothing to keep; later a fault that may pass costs neither the guest nor the work done.</summary>
    private async Task FailAsync(FailureReason reason, string message)
    {
        var keeps = IsSuspendable(State.Step) || (State.Step == MigrationStep.Open && reason is FailureReason.SiloRestarted or FailureReason.Fenced);

        if (State.Step == MigrationStep.Resume)
            CountResume(isResumed: false);

        // A silo that was told dead and hangs holds guest and image until it has ended; what was saved is not given up for that.
        var isHeld = State.Step == MigrationStep.Resume && reason is (FailureReason.NotQmp or FailureReason.GuestBusy or FailureReason.ImageBusy);
        if (!HasSource || !keeps || !(isHeld || FailureTranslation.IsResumable(reason)))
        {
            await BeginAbortAsync(reason, message);
            return;
        }

        State.Reason = reason;
        State.Attempt++;
        await EnterAsync(MigrationStep.Suspend, State.Phase, message);
    }

    private async Task BeginAbortAsync(FailureReason reason, string message)
    {
        if (State.Published is not null)
        {
            await BeginGiveBackAsync(reason, message);
            return;
        }

        State.Reason = reason;
        await EnterAsync(MigrationStep.Abort, reason == FailureReason.Cancelled ? MigrationPhase.Cancelling : State.Phase, message);
    }

    private async Task SuspendAsync()
    {
        var reply = await Writer.Suspend(HostCommand(State.Attempt, State.Message));
        Take(reply);
        if (reply.Step == HostStep.Working)
            return;
        if (reply.IsPublished)
        {
            State.Reason = FailureReason.None;
            await EnterPublishedAsync();
            return;
        }

        // A silo that has restarted knows nothing of the blocks before they are set up again.
        if (reply.RamBlocks.Count > 0)
            await AllBlocksAsync(block => block.GetStatus());
        var durable = State.Ram.Durable;
        State.Failures = State.Reason is FailureReason.SiloRestarted or FailureReason.PausedByOperator or FailureReason.Fenced || durable > State.DurableBefore ? 1 : State.Failures + 1;
        State.DurableBefore = durable;
        State.NextTry = State.Reason switch
        {
            FailureReason.PausedByOperator => null,
            FailureReason.SiloRestarted or FailureReason.Fenced => time.GetUtcNow(),
            _ => time.GetUtcNow() + PauseFor(State.Failures),
        };
        NoteTrouble(State.Message, stuckWrites: State.Trouble?.StuckWrites ?? 0);
        await EnterAsync(MigrationStep.Paused, MigrationPhase.Paused, State.Message);
        await RecordAsync();
    }

    private async Task WaitPausedAsync()
    {
        if (_pauseRequested)
        {
            _pauseRequested = false;
            State.Reason = FailureReason.PausedByOperator;
            State.Message = PausedMessage();
            State.NextTry = null;
            NoteTrouble(State.Message, stuckWrites: 0);
            await SaveAsync();
        }

        if (_resumeRequested)
        {
            await BeginResumeAsync();
            return;
        }

        if (State.NextTry is not { } next || time.GetUtcNow() < next)
            return;
        _probe = _probe == 0 ? (int)time.GetUtcNow().ToUnixTimeSeconds() : _probe;
        var reply = await Writer.Probe(HostCommand(_probe));
        if (reply.Step == HostStep.Working)
            return;
        _probe = 0;
        if (reply.Step != HostStep.Failed)
        {
            await BeginResumeAsync();
            return;
        }

        State.Failures++;
        State.NextTry = time.GetUtcNow() + PauseFor(State.Failures);
        State.Reason = reply.Reason;
        NoteTrouble(reply.Message, reply.Trouble?.StuckWrites ?? 0);
        State.Message = reply.Message;
        await SaveAsync();
    }

    /// <summary>A coordinator that did not begin the resumption itself has taken it over.</summary>
    private void CountResume(bool isResumed) => metrics.CountResume(_resumeTrigger ?? ResumeTrigger.Takeover, isResumed);

    private string PausedMessage() => $"Paused by the operator. 'distmigrate resume {Spec.Id}' goes on.";

    private Task BeginResumeAsync()
    {
        _resumeTrigger = (_resumeRequested, State.Reason) switch
        {
            (true, _) => ResumeTrigger.Operator,
            (_, FailureReason.SiloRestarted) => ResumeTrigger.SiloRestart,
            (_, FailureReason.Fenced) => ResumeTrigger.Takeover,
            _ => ResumeTrigger.Automatic,
        };
        _resumeRequested = false;
        State.NextTry = null;
        State.Trouble = null;
        return EnterAsync(MigrationStep.Resume, MigrationPhase.Setup, "Takes the interrupted save up again.");
    }

    private void NoteTrouble(string error, int stuckWrites) => State.Trouble = new StorageTrouble(
        State.Reason, error, State.Trouble?.Since ?? time.GetUtcNow(), State.Failures, State.NextTry, stuckWrites);

    /// <summary>Longer each time, and never the same for all that wait for one storage.</summary>
    private static TimeSpan PauseFor(int failures) =>
        TimeSpan.FromTicks(Math.Min(FirstPause.Ticks << Math.Min(failures - 1, 10), LongestPause.Ticks)) * (0.75 + (Random.Shared.NextDouble() / 2));
}

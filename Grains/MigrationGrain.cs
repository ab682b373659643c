using DistMigrate.Contracts;
using DistMigrate.Grains.Metrics;
using DistMigrate.Grains.Tracing;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Storage;

namespace DistMigrate.Grains;

/// <summary>
/// <inheritdoc cref="IMigrationGrain" path="/summary"/>
/// A grain timer does one bounded step at a time: ask the host or the blocks, record what came of it, decide. Every step can be asked for again.
/// </summary>
[GrainType("distmigrate.migration")]
internal sealed partial class MigrationGrain(
    [PersistentState("migration", StorageNames.Migrations)] IPersistentState<MigrationState> state,
    IOptions<HostOptions> options,
    TimeProvider time,
    MigrationMetrics metrics,
    ILogger<MigrationGrain> logger) : Grain, IMigrationGrain
{
    /// <summary>How long a call to a host or block waits for the work to end; the status is no older than this.</summary>
    private static readonly TimeSpan Slice = TimeSpan.FromMilliseconds(200);

    /// <summary>Before a step is tried again that could not be delivered.</summary>
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);

    /// <summary>Between two steps: none to speak of, since the calls themselves wait.</summary>
    private static readonly TimeSpan Next = TimeSpan.FromMilliseconds(1);

    /// <summary>The most steps of one tick: a step that is done leads to the next without waiting for the timer.</summary>
    private const int StepsPerTick = 8;

    /// <summary>The longest that a watcher may wait in one call.</summary>
    private static readonly TimeSpan WatchLimit = TimeSpan.FromSeconds(5);

    private readonly MigrationTrace _trace = new();

    private IGrainTimer? _timer;
    private bool _tookOver;
    private bool _isRemembered = true;
    private bool _isPaced;
    private ResumeTrigger? _resumeTrigger;
    private bool _cancelRequested;
    private bool _pauseRequested;
    private bool _resumeRequested;
    private string? _adoptRequested;
    private int _position;
    private int _probe;
    private long _revision;
    private long _otherBytes;

    /// <summary>The bandwidth limit that the host was last told; null when that is not known.</summary>
    private long? _bandwidth;
    private TaskCompletionSource _changed = NewSignal();

    private MigrationState State => state.State;

    private MigrationSpec Spec => State.Spec
        ?? throw new MigrationException(FailureReason.NotFound, $"No migration {this.GetPrimaryKeyString()} is known. 'distmigrate list' shows those that are.");

    private IImageWriterGrain Writer => GrainFactory.GetGrain<IImageWriterGrain>(GrainKeys.OnHost(Spec.Host, Spec.Id));

    private IImageLoaderGrain Loader => GrainFactory.GetGrain<IImageLoaderGrain>(GrainKeys.OnHost(Target, Spec.Id));

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        // A later activation begins above every revision that an earlier one gave out.
        _revision = time.GetUtcNow().UtcTicks;
        if (State.Step is not (MigrationStep.None or MigrationStep.Queued or MigrationStep.Ended) && !IsLeftToOperator)
            Run();
        if (State.Spec is { } spec && State.Step != MigrationStep.Ended)
        {
            State.Trace = _trace.Begin(spec, State.Trace);
            Changed();
        }

        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        metrics.Leave(this.GetPrimaryKeyString());
        _trace.Leave();
        return Task.CompletedTask;
    }

    public async Task Enqueue(MigrationSpec spec)
    {
        if (State.Spec is not null)
        {
            if (!_isRemembered)
                await SaveAsync();
            return;
        }

        State.Spec = spec;
        State.Trace = _trace.Begin(spec, State.Trace);
        State.Step = MigrationStep.Queued;
        State.PhaseSince = time.GetUtcNow();
        State.Phase = MigrationPhase.Queued;
        State.Message = "Waits for its turn.";
        await SaveAsync();
    }

    public async Task Forget()
    {
        if (State.Step != MigrationStep.Ended)
            return;
        await state.ClearStateAsync();
        DeactivateOnIdle();
    }

    public async Task Start()
    {
        if (State.Step != MigrationStep.Queued)
            return;
        Run();
        await EnterAsync(MigrationStep.Reserve, MigrationPhase.Queued, "Waits for its turn.");
    }

    public Task EnsureRunning()
    {
        // Being activated is enough; a migration that was never recorded here says so.
        _ = Spec;
        return Task.CompletedTask;
    }

    public async Task<MigrationStatus> Cancel()
    {
        var id = Spec.Id;
        if (State.Phase.IsEnd())
            return await GetStatus();
        _cancelRequested = true;
        if (State.Step == MigrationStep.Queued && await Host().Withdraw(id) && State.Step == MigrationStep.Queued)
        {
            Run();
            await EndAsync(MigrationPhase.Cancelled, FailureReason.Cancelled, "Cancelled while it was queued; the guest was not touched.");
        }

        Wake();
        return await GetStatus();
    }

    public async Task<MigrationStatus> Pause()
    {
        if (!HasSource || State.Step is MigrationStep.Queued or MigrationStep.Reserve || State.Published is not null)
        {
            throw new MigrationException(FailureReason.InvalidRequest,
                "Only a save or move that has begun, and whose image is not yet published, can be paused. Cancel this migration instead.");
        }

        _pauseRequested = !State.Phase.IsEnd();
        _resumeRequested = false;
        Wake();
        return await GetStatus();
    }

    public async Task<MigrationStatus> Resume()
    {
        if (Spec is not null && State.Phase.IsEnd())
            throw new MigrationException(FailureReason.InvalidRequest, $"This migration has ended ({State.Phase.ToName()}), so there is nothing to resume. Start another one.");
        _pauseRequested = false;
        _resumeRequested = State.Step is MigrationStep.Suspend or MigrationStep.Paused or MigrationStep.NeedsAttention;
        Wake();
        return await GetStatus();
    }

    public async Task<MigrationStatus> Adopt(string host)
    {
        if (!IsMove || State.Step != MigrationStep.NeedsAttention)
        {
            throw new MigrationException(FailureReason.InvalidRequest,
                $"Migration {Spec.Id} does not wait for a decision who runs its guest (it is {State.Phase.ToName()}), so there is nothing to adopt.");
        }

        if (host != Spec.Host && host != Target)
            throw new MigrationException(FailureReason.InvalidRequest, $"This move is from {Spec.Host} to {Target}; {host} is neither of them.");
        _adoptRequested = host;
        Wake();
        return await GetStatus();
    }

    public async Task<MigrationStatus> GetStatus()
    {
        var spec = Spec;
        var position = State.Step switch
        {
            MigrationStep.Queued => await QueuePositionAsync(spec.Id),
            MigrationStep.Reserve => _position,
            _ => 0,
        };
        return new MigrationStatus(
            spec, _revision, _cancelRequested && !State.Phase.IsEnd() ? MigrationPhase.Cancelling : State.Phase, State.Reason, State.Message,
            State.Started, State.Ended, State.PhaseSince, position, State.Ram, State.BytesPerSecond, State.Downtime, State.GuestState, [.. State.FurtherNotes, .. State.Notes],
            State.Trouble, State.Live, [.. State.SourceParts, .. State.TargetParts], State.Plan);
    }

    public async Task<MigrationStatus> WaitForChange(long afterRevision, TimeSpan limit)
    {
        _ = Spec;
        if (_revision <= afterRevision)
            await Task.WhenAny(_changed.Task, Task.Delay(limit < WatchLimit ? limit : WatchLimit, time));
        return await GetStatus();
    }

    public Task<IReadOnlyList<BlockStatus>> GetBlocks()
    {
        _ = Spec;
        return Task.FromResult(State.Blocks);
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The status answers also while the host is down; the position is then not known.</summary>
    private async Task<int> QueuePositionAsync(string id)
    {
        try
        {
            return await Host().GetQueuePosition(id);
        }
        catch (Exception e) when (e is OrleansException or TimeoutException or MigrationException)
        {
            return 0;
        }
    }

    private IHostGrain Host() => GrainFactory.GetGrain<IHostGrain>(Spec.Host);

    /// <summary>Whether nothing happens before the operator says something: a move still asks its target.</summary>
    private bool IsLeftToOperator => State.Step == MigrationStep.NeedsAttention && !IsMove;

    private IRamBlockGrain Block(string name) => GrainFactory.GetGrain<IRamBlockGrain>(GrainKeys.RamBlock(Spec.Host, Spec.Request.Guest, name));

    private HostCommand HostCommand(int attempt = 0, string cause = "") => new(Spec, State.Token!, Slice, attempt, cause, Incarnation: State.Incarnation);

    private BlockCommand BlockCommand(int iteration = 0) => new(Spec.Id, State.Token!, iteration, Slice, State.Incarnation);

    private void Run() => _timer ??= this.RegisterGrainTimer(
        TickAsync, new GrainTimerCreationOptions { DueTime = TimeSpan.Zero, Period = Next, KeepAlive = true });

    /// <summary>The operator wants something of a migration that waits.</summary>
    private void Wake()
    {
        if (State.Step is MigrationStep.None or MigrationStep.Queued or MigrationStep.Ended)
            return;
        Run();
        _timer!.Change(TimeSpan.Zero, Next);
    }

    /// <summary>While grain storage takes nothing, no step is done: what was decided last has to be remembered first. The host works on.</summary>
    private async Task TickAsync(CancellationToken cancellationToken)
    {
        _trace.Send();
        using var scope = LogScopes.Of(logger, Spec);
        try
        {
            if (!_isRemembered)
                await SaveAsync();
            await RunStepsAsync();
        }
        catch (MigrationException e) when (e.Reason == FailureReason.StateUnavailable)
        {
            LogStateUnavailable(logger, this.GetPrimaryKeyString(), State.Step);
            Changed();
            _timer?.Change(RetryAfter, Next);
        }
        catch (InconsistentStateException)
        {
            // Another coordinator has written since, or grain storage has lost what this one wrote. Orleans ends an activation for that
            // only once nothing more comes to it, and its timer would go on.
            StandDown();
        }
    }

    private async Task RunStepsAsync()
    {
        try
        {
            if (!_tookOver)
                await TakeOverAsync();
            MigrationStep step;
            var steps = 0;
            do
            {
                step = State.Step;
                await StepAsync();
            }
            while (State.Step != step && ++steps < StepsPerTick);
            if (State.Step == MigrationStep.Ended || IsLeftToOperator)
            {
                _timer?.Dispose();
                _timer = null;
            }
            else if (!_isPaced)
            {
                _timer?.Change(State.Step is MigrationStep.Paused or MigrationStep.Reserve ? PausedTick : Next, Next);
            }

            _isPaced = false;
        }
        catch (MigrationException e) when (e.Reason == FailureReason.Fenced)
        {
            StandDown();
        }
        catch (Exception e) when (e is InconsistentStateException or MigrationException { Reason: FailureReason.StateUnavailable })
        {
            throw;
        }
        catch (MigrationException e) when (e.Reason == FailureReason.HostUnavailable)
        {
            await WaitForHostAsync(e.Message);
        }
        catch (Exception e) when (e is OrleansException or TimeoutException || MustSucceed(State.Step))
        {
            LogRetry(logger, this.GetPrimaryKeyString(), State.Step, e);
            await WaitForHostAsync(e.Message);
        }
        catch (Exception e)
        {
            var failure = FailureTranslation.Translate(e);
            await FailAsync(failure.Reason, failure.Message);
        }
    }

    /// <summary>Another activation is in charge, or will be: it begins with what is remembered.</summary>
    private void StandDown()
    {
        LogFenced(logger, this.GetPrimaryKeyString());
        _timer?.Dispose();
        DeactivateOnIdle();
    }

    /// <summary>Whether there is no other way than to try a step again: what is decided already is carried out.</summary>
    private static bool MustSucceed(MigrationStep step) => step is MigrationStep.Abort or MigrationStep.Release or MigrationStep.Suspend
        or MigrationStep.EndSource or MigrationStep.EndTarget or MigrationStep.TakeBack or MigrationStep.RemoveImage or MigrationStep.NeedsAttention;

    private async Task EndAsync(MigrationPhase phase, FailureReason reason, string message)
    {
        State.Reason = reason;
        State.Ended = time.GetUtcNow();
        await EnterAsync(MigrationStep.Release, phase, message);
        metrics.CountEnd(Sample(), State.Downtime, [.. State.SourceParts, .. State.TargetParts]);
        LogEnded(logger, phase == MigrationPhase.Failed ? LogLevel.Warning : LogLevel.Information, Spec.Id, phase, reason, message);
    }

    private async Task EnterAsync(MigrationStep step, MigrationPhase phase, string message)
    {
        State.Step = step;
        State.Message = message;
        if (State.Phase != phase)
        {
            State.Phase = phase;
            State.PhaseSince = time.GetUtcNow();
            if (phase == MigrationPhase.NeedsAttention)
                LogNeedsAttention(logger, Spec.Id, message);
        }

        await SaveAsync();
    }

    /// <summary>A new activation takes over with a higher token, so that an older one is no longer obeyed.</summary>
    private async Task TakeOverAsync()
    {
        PassToken(inForce: 0);
        await SaveAsync();
        _tookOver = true;
    }

    /// <summary>Grain storage may have lost what it was told last, and then knows a lower number than the journal. If instead another
    /// activation is in charge, grain storage refuses what this one writes next.</summary>
    private void PassToken(long inForce) => State.Token = new FencingToken(Math.Max(inForce, State.Token?.Number ?? 0) + 1, Guid.NewGuid());

    private async Task WaitForHostAsync(string message)
    {
        if (_cancelRequested && IsCancellable(State.Step))
            await BeginAbortAsync(FailureReason.Cancelled, "Cancelled by the operator.");

        // Once it ends, the message says why.
        if (IsCancellable(State.Step))
            State.Message = message;
        Pace(RetryAfter);
    }

    /// <summary>Takes the next step no sooner than after a while.</summary>
    private void Pace(TimeSpan pause)
    {
        Changed();
        _isPaced = true;
        _timer?.Change(pause, Next);
    }

    private async Task SaveAsync()
    {
        _isRemembered = false;
        await state.RememberAsync();
        _isRemembered = true;
        Changed();
    }

    private void Changed()
    {
        _revision++;
        var changed = _changed;
        _changed = NewSignal();
        changed.TrySetResult();
        if (State.Spec is null)
            return;
        var sample = Sample();
        metrics.Show(sample);
        _trace.Show(sample, State.Message);
    }

    private MigrationSample Sample() => new(
        Spec, _cancelRequested && !State.Phase.IsEnd() ? MigrationPhase.Cancelling : State.Phase, State.Reason, State.Started, State.Ended,
        State.PhaseSince, State.Ram, State.Live, State.Budget);

    private Task RecordAsync() => Catalog().Record(new MigrationSummary(Spec, State.Phase, State.Reason, State.PhaseSince));

    private ICatalogGrain Catalog() => GrainFactory.GetGrain<ICatalogGrain>(CatalogShards.ShardOf(Spec.Id));

    [LoggerMessage(Message = "Migration {Id} {Phase} ({Reason}): {Outcome}")]
    private static partial void LogEnded(ILogger logger, LogLevel level, string id, MigrationPhase phase, FailureReason reason, string outcome);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Migration {Id} needs attention: {Why}")]
    private static partial void LogNeedsAttention(ILogger logger, string id, string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A newer coordinator has taken over migration {Id}")]
    private static partial void LogFenced(ILogger logger, string id);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Migration {Id} waits for grain storage in step {Step}")]
    private static partial void LogStateUnavailable(ILogger logger, string id, MigrationStep step);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Migration {Id} tries step {Step} again")]
    private static partial void LogRetry(ILogger logger, string id, MigrationStep step, Exception exception);
}

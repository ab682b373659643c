using DistMigrate.Contracts;
using Microsoft.Extensions.Logging;
using Orleans.Storage;

namespace DistMigrate.Grains;

/// <summary>
/// <inheritdoc cref="IMigrationGrain" path="/summary"/>
/// A grain timer does one bounded step at a time: ask the host or the blocks, record what came of it, decide. Every step can be asked for again.
/// </summary>
[GrainType("distmigrate.migration")]
internal sealed partial class MigrationGrain(
    [PersistentState("migration", StorageNames.Migrations)] IPersistentState<MigrationState> state,
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

    /// <summary>The longest that a watcher may wait in one call.</summary>
    private static readonly TimeSpan WatchLimit = TimeSpan.FromSeconds(5);

    private IGrainTimer? _timer;
    private bool _tookOver;
    private bool _cancelRequested;
    private long _revision;
    private long _otherBytes;
    private TaskCompletionSource _changed = NewSignal();

    private MigrationState State => state.State;

    private MigrationSpec Spec => State.Spec
        ?? throw new MigrationException(FailureReason.NotFound, $"No migration {this.GetPrimaryKeyString()} is known. 'distmigrate list' shows those that are.");

    private IImageWriterGrain Writer => GrainFactory.GetGrain<IImageWriterGrain>(GrainKeys.OnHost(Spec.Host, Spec.Id));

    private IImageLoaderGrain Loader => GrainFactory.GetGrain<IImageLoaderGrain>(GrainKeys.OnHost(Spec.Host, Spec.Id));

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        // A later activation begins above every revision that an earlier one gave out.
        _revision = time.GetUtcNow().UtcTicks;
        if (State.Step is not (MigrationStep.None or MigrationStep.Queued or MigrationStep.Ended))
            Run();
        return Task.CompletedTask;
    }

    public async Task Enqueue(MigrationSpec spec)
    {
        if (State.Spec is not null)
            return;
        State.Spec = spec;
        State.Step = MigrationStep.Queued;
        State.PhaseSince = time.GetUtcNow();
        State.Phase = MigrationPhase.Queued;
        State.Message = "Waits for its turn.";
        await SaveAsync();
    }

    public async Task Start()
    {
        if (State.Step != MigrationStep.Queued)
            return;
        State.Started = time.GetUtcNow();
        if (Spec.Request.Kind == MigrationKind.Save)
            await EnterAsync(MigrationStep.Open, MigrationPhase.Setup, "Examines the guest and the storage.");
        else
            await EnterAsync(MigrationStep.Load, MigrationPhase.Restoring, "Checks the image and loads it.");
        Run();
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
            await EndAsync(MigrationPhase.Cancelled, FailureReason.Cancelled, "Cancelled while it was queued; the guest was not touched.");
            Run();
        }

        return await GetStatus();
    }

    public async Task<MigrationStatus> GetStatus()
    {
        var spec = Spec;
        var position = State.Step == MigrationStep.Queued ? await QueuePositionAsync(spec.Id) : 0;
        return new MigrationStatus(
            spec, _revision, _cancelRequested && !State.Phase.IsEnd() ? MigrationPhase.Cancelling : State.Phase, State.Reason, State.Message,
            State.Started, State.Ended, State.PhaseSince, position, State.Ram, State.BytesPerSecond, State.Downtime, State.GuestState, State.Notes);
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

    private IRamBlockGrain Block(string name) => GrainFactory.GetGrain<IRamBlockGrain>(GrainKeys.RamBlock(Spec.Host, Spec.Request.Guest, name));

    private HostCommand HostCommand() => new(Spec, State.Token!, Slice);

    private BlockCommand BlockCommand(int iteration = 0) => new(Spec.Id, State.Token!, iteration, Slice);

    private void Run() => _timer ??= this.RegisterGrainTimer(
        TickAsync, new GrainTimerCreationOptions { DueTime = TimeSpan.Zero, Period = Next, KeepAlive = true });

    private async Task TickAsync(CancellationToken cancellationToken)
    {
        try
        {
            if (!_tookOver)
                await TakeOverAsync();
            await StepAsync();
            if (State.Step == MigrationStep.Ended)
            {
                _timer?.Dispose();
                _timer = null;
            }
            else
            {
                _timer?.Change(Next, Next);
            }
        }
        catch (MigrationException e) when (e.Reason == FailureReason.Fenced)
        {
            LogFenced(logger, this.GetPrimaryKeyString());
            _timer?.Dispose();
            DeactivateOnIdle();
        }
        catch (MigrationException e) when (e.Reason == FailureReason.HostUnavailable)
        {
            await WaitForHostAsync(e.Message);
        }
        catch (InconsistentStateException)
        {
            // Another coordinator has written since: Orleans ends this activation.
            throw;
        }
        catch (Exception e) when (e is OrleansException or TimeoutException || State.Step is MigrationStep.Abort or MigrationStep.Release)
        {
            LogRetry(logger, this.GetPrimaryKeyString(), State.Step, e);
            await WaitForHostAsync(e.Message);
        }
        catch (Exception e)
        {
            var failure = FailureTranslation.Translate(e);
            await BeginAbortAsync(failure.Reason, failure.Message);
        }
    }

    private async Task StepAsync()
    {
        if (_cancelRequested && State.Step is > MigrationStep.Queued and < MigrationStep.Abort)
        {
            await BeginAbortAsync(FailureReason.Cancelled, "Cancelled by the operator.");
            return;
        }

        switch (State.Step)
        {
            case MigrationStep.Open:
                await OpenAsync();
                break;
            case MigrationStep.Stop:
                if (await DoneAsync(Writer.StopGuest(HostCommand())))
                {
                    State.CopyStarted = time.GetUtcNow();
                    await AllBlocksAsync(block => block.SyncDirty(BlockCommand()));
                    await EnterAsync(MigrationStep.Copy, MigrationPhase.Active, "Writes the guest's pages.");
                }

                break;
            case MigrationStep.Copy:
                await CopyAsync();
                break;
            case MigrationStep.DeviceState:
                if (await DoneAsync(Writer.TakeDeviceState(HostCommand())))
                    await EnterAsync(MigrationStep.HandOver, MigrationPhase.Device, "Writes the shadow bitmaps.");
                break;
            case MigrationStep.HandOver:
                await HandOverAsync();
                break;
            case MigrationStep.Publish:
                await PublishAsync();
                break;
            case MigrationStep.Load:
                if (await DoneAsync(Loader.Load(HostCommand())))
                    await EndAsync(MigrationPhase.Completed, FailureReason.None, LoadedMessage());
                break;
            case MigrationStep.Abort:
                await AbortAsync();
                break;
            case MigrationStep.Release:
                await ReleaseAsync();
                break;
        }
    }

    private async Task OpenAsync()
    {
        if (!await DoneAsync(Writer.Open(HostCommand())))
            return;
        await AllBlocksAsync(block => block.Setup(BlockCommand()));
        await EnterAsync(MigrationStep.Stop, MigrationPhase.Active, "Stops the guest.");
    }

    private async Task CopyAsync()
    {
        var blocks = await AllBlocksAsync(block => block.Iterate(BlockCommand(iteration: 1)));
        if (blocks.FirstOrDefault(block => block.Activity == BlockActivity.Failed) is { } failed)
            await BeginAbortAsync(failed.Reason, $"RAMBlock {failed.Name}: {failed.Error}");
        else if (blocks.All(block => block.Activity == BlockActivity.Clean))
            await EnterAsync(MigrationStep.DeviceState, MigrationPhase.Device, "Takes the device state and syncs the pages.");
    }

    private async Task HandOverAsync()
    {
        var blocks = await AllBlocksAsync(block => block.Complete(BlockCommand()));
        if (blocks.FirstOrDefault(block => block.Activity == BlockActivity.Failed) is { } failed)
            await BeginAbortAsync(failed.Reason, $"RAMBlock {failed.Name}: {failed.Error}");
        else if (blocks.All(block => block.Activity == BlockActivity.Completed))
            await EnterAsync(MigrationStep.Publish, MigrationPhase.Device, "Writes the tail, checks the image and publishes it.");
    }

    private async Task PublishAsync()
    {
        var reply = await Writer.Publish(HostCommand());
        Take(reply);
        if (reply is { Step: HostStep.Failed, IsPublished: true })
        {
            State.Notes = [.. State.Notes, reply.Message];
            await EndAsync(MigrationPhase.Completed, FailureReason.None, "The image is published, but the guest was not treated as asked; see the notes.");
        }
        else if (await DoneAsync(Task.FromResult(reply)))
        {
            await EndAsync(MigrationPhase.Completed, FailureReason.None, SavedMessage());
        }
    }

    private async Task AbortAsync()
    {
        if (Spec.Request.Kind == MigrationKind.Save)
        {
            var reply = await Writer.Abort(HostCommand());
            Take(reply);
            if (reply.Step == HostStep.Working)
                return;
            if (reply.IsPublished)
            {
                await EndAsync(MigrationPhase.Completed, FailureReason.None, $"{SavedMessage()} It was too late to end it otherwise.");
                return;
            }

            if (reply.Step == HostStep.Failed)
                State.Notes = [.. State.Notes, reply.Message];
        }
        else
        {
            await Loader.Abort(HostCommand());
        }

        var phase = State.Reason == FailureReason.Cancelled ? MigrationPhase.Cancelled : MigrationPhase.Failed;
        await EndAsync(phase, State.Reason, State.Message);
    }

    private async Task ReleaseAsync()
    {
        await Catalog().Record(new MigrationSummary(Spec, State.Phase, State.Reason, State.PhaseSince));
        if (Spec.Request.Kind == MigrationKind.Save)
            await Writer.Release(HostCommand());
        else
            await Loader.Release(HostCommand());
        await Host().Ended(Spec.Id);
        State.Step = MigrationStep.Ended;
        await SaveAsync();
    }

    /// <summary>Records the reply of a host; when the step failed, or the silo has lost it, begins the abort.</summary>
    /// <returns>Whether the step is done.</returns>
    private async Task<bool> DoneAsync(Task<HostReply> call)
    {
        var reply = await call;
        Take(reply);
        switch (reply.Step)
        {
            case HostStep.Done:
                return true;
            case HostStep.Failed:
                await BeginAbortAsync(reply.Reason, reply.Message);
                return false;
            case HostStep.Unknown:
                await BeginAbortAsync(FailureReason.SiloRestarted,
                    $"The silo of host {Spec.Host} ended during the migration. The guest's run state was restored; start the migration again.");
                return false;
            default:
                return false;
        }
    }

    private void Take(HostReply reply)
    {
        if (reply.Step == HostStep.Unknown)
            return;
        if (reply.RamBlocks.Count > 0)
            State.RamBlocks = reply.RamBlocks;
        State.Downtime = reply.Downtime;
        State.GuestState = reply.GuestState;
        State.Notes = reply.Notes;
        _otherBytes = reply.OtherBytes;
        State.Ram = State.Ram with { Transferred = State.Blocks.Sum(block => block.WrittenBytes) + _otherBytes };
        Changed();
    }

    private async Task<IReadOnlyList<BlockStatus>> AllBlocksAsync(Func<IRamBlockGrain, Task<BlockStatus>> command)
    {
        var blocks = await Task.WhenAll(State.RamBlocks.Select(name => command(Block(name))));
        State.Blocks = blocks;
        State.Ram = new RamCounters(
            blocks.Sum(block => block.UsedLength),
            blocks.Sum(block => block.WrittenBytes) + _otherBytes,
            blocks.Sum(block => block.Pages.Dirty + block.Pages.InFlight) * 4096,
            blocks.Sum(block => block.Pages.Durable) * 4096,
            blocks.Sum(block => block.Duplicate),
            blocks.Sum(block => block.Normal),
            State.CopyStarted is null ? 0 : 1);
        if (State.CopyStarted is { } started && State.Step == MigrationStep.Copy)
            State.BytesPerSecond = State.Ram.NormalBytes / Math.Max((time.GetUtcNow() - started).TotalSeconds, 1e-3);
        Changed();
        return blocks;
    }

    private async Task BeginAbortAsync(FailureReason reason, string message)
    {
        State.Reason = reason;
        await EnterAsync(MigrationStep.Abort, reason == FailureReason.Cancelled ? MigrationPhase.Cancelling : State.Phase, message);
    }

    private async Task EndAsync(MigrationPhase phase, FailureReason reason, string message)
    {
        State.Reason = reason;
        State.Ended = time.GetUtcNow();
        await EnterAsync(MigrationStep.Release, phase, message);
        metrics.Ended(Spec.Request.Kind, phase, reason);
        LogEnded(logger, Spec.Id, phase, reason, message);
    }

    private async Task EnterAsync(MigrationStep step, MigrationPhase phase, string message)
    {
        State.Step = step;
        State.Message = message;
        if (State.Phase != phase)
        {
            State.Phase = phase;
            State.PhaseSince = time.GetUtcNow();
        }

        await SaveAsync();
    }

    /// <summary>A new activation takes over with a higher token, so that an older one is no longer obeyed.</summary>
    private async Task TakeOverAsync()
    {
        State.Token = new FencingToken((State.Token?.Number ?? 0) + 1, Guid.NewGuid());
        await SaveAsync();
        _tookOver = true;
    }

    private async Task WaitForHostAsync(string message)
    {
        if (_cancelRequested && State.Step is MigrationStep.Open or MigrationStep.Load)
            await BeginAbortAsync(FailureReason.Cancelled, "Cancelled by the operator.");

        // Once it ends, the message says why.
        if (State.Step < MigrationStep.Abort)
            State.Message = message;
        Changed();
        _timer?.Change(RetryAfter, Next);
    }

    private async Task SaveAsync()
    {
        await state.WriteStateAsync();
        Changed();
    }

    private void Changed()
    {
        _revision++;
        var changed = _changed;
        _changed = NewSignal();
        changed.TrySetResult();
    }

    private ICatalogGrain Catalog() => GrainFactory.GetGrain<ICatalogGrain>(CatalogShards.ShardOf(Spec.Id));

    private string SavedMessage() => $"The image {Spec.Request.ImagePath} is published; the guest is {(State.GuestState.Length > 0 ? State.GuestState : "as it was")}.";

    private string LoadedMessage() => $"QEMU has loaded {Spec.Request.ImagePath}; the guest is {State.GuestState}.";

    [LoggerMessage(Level = LogLevel.Information, Message = "Migration {Id} {Phase} ({Reason}): {Outcome}")]
    private static partial void LogEnded(ILogger logger, string id, MigrationPhase phase, FailureReason reason, string outcome);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A newer coordinator has taken over migration {Id}")]
    private static partial void LogFenced(ILogger logger, string id);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Migration {Id} tries step {Step} again")]
    private static partial void LogRetry(ILogger logger, string id, MigrationStep step, Exception exception);
}

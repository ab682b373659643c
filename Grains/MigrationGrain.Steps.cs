using DistMigrate.Contracts;

namespace DistMigrate.Grains;

/// <summary>The steps of a migration: what each one asks of the host or the blocks, and what follows.</summary>
internal sealed partial class MigrationGrain
{
    private async Task StepAsync()
    {
        if (_cancelRequested && IsCancellable(State.Step))
        {
            await BeginAbortAsync(FailureReason.Cancelled, "Cancelled by the operator.");
            return;
        }

        if (_pauseRequested && IsSuspendable(State.Step))
        {
            _pauseRequested = false;
            await FailAsync(FailureReason.PausedByOperator, PausedMessage());
            return;
        }

        if (_bandwidth != SaveOptions.BandwidthLimit && IsWriting(State.Step))
        {
            await Writer.SetBandwidth(HostCommand());
            _bandwidth = SaveOptions.BandwidthLimit;
        }

        switch (State.Step)
        {
            case MigrationStep.Reserve:
                await ReserveAsync();
                break;
            case MigrationStep.Prepare:
                await PrepareAsync();
                break;
            case MigrationStep.Open:
                await OpenAsync();
                break;
            case MigrationStep.Stop:
                if (await DoneAsync(Writer.StopGuest(HostCommand())))
                {
                    State.CopyStarted = time.GetUtcNow();
                    if (State.Iteration == 1)
                        await EnterAsync(MigrationStep.Copy, MigrationPhase.Active, "Writes the guest's pages.");
                    else
                        await EnterAsync(MigrationStep.Sync, MigrationPhase.Active, "Compares the guest's memory with what was written.");
                }

                break;
            case MigrationStep.Pass:
                await PassAsync();
                break;
            case MigrationStep.Look:
                await LookAsync();
                break;
            case MigrationStep.SwitchOver:
                await SwitchOverAsync();
                break;
            case MigrationStep.Sync:
                if (await BlocksAreAsync(BlockActivity.Ready, block => block.SyncDirty(BlockCommand(State.Iteration))))
                    await EnterAsync(MigrationStep.Copy, MigrationPhase.Active, "Writes the pages that are missing or have changed.");
                break;
            case MigrationStep.Copy:
                await CopyAsync();
                break;
            case MigrationStep.DeviceState:
                if (await DoneAsync(Writer.TakeDeviceState(HostCommand())))
                    await EnterAsync(MigrationStep.HandOver, MigrationPhase.Device, "Writes the shadow bitmaps.");
                break;
            case MigrationStep.HandOver:
                if (await BlocksAreAsync(BlockActivity.Completed, block => block.Complete(BlockCommand(State.Iteration))))
                    await EnterAsync(MigrationStep.Publish, MigrationPhase.Device, "Writes the tail, checks the image and publishes it.");
                break;
            case MigrationStep.Publish:
                if (await DoneAsync(Writer.Publish(HostCommand())))
                    await EnterPublishedAsync();
                break;
            case MigrationStep.TreatGuest:
                await TreatGuestAsync();
                break;
            case MigrationStep.NeedsAttention:
                await (IsMove ? AttendMoveAsync() : AttendAsync());
                break;
            case MigrationStep.Suspend:
                await SuspendAsync();
                break;
            case MigrationStep.Paused:
                await WaitPausedAsync();
                break;
            case MigrationStep.Resume:
                if (await DoneAsync(Writer.Resume(HostCommand() with { HasBegun = State.RamBlocks.Count > 0 })))
                {
                    CountResume(isResumed: true);
                    _bandwidth = null;
                    State.Iteration++;
                    await AllBlocksAsync(block => block.Setup(BlockCommand()));
                    await EnterWritingAsync();
                }

                break;
            case MigrationStep.Load:
                await LoadAsync();
                break;
            case MigrationStep.Run:
                await RunGuestAsync();
                break;
            case MigrationStep.EndSource:
                await EndSourceAsync();
                break;
            case MigrationStep.EndTarget:
                await EndTargetAsync();
                break;
            case MigrationStep.TakeBack:
                await TakeBackAsync();
                break;
            case MigrationStep.RemoveImage:
                await RemoveImageAsync();
                break;
            case MigrationStep.Abort:
                await AbortAsync();
                break;
            case MigrationStep.Release:
                await ReleaseAsync();
                break;
        }
    }

    private static bool IsWriting(MigrationStep step) =>
        step is MigrationStep.Stop or MigrationStep.Sync or MigrationStep.Copy or MigrationStep.Pass or MigrationStep.Look or MigrationStep.SwitchOver;

    private async Task OpenAsync()
    {
        var limit = SaveOptions.BandwidthLimit;
        if (!await DoneAsync(Writer.Open(HostCommand())))
            return;
        _bandwidth = limit;
        await AllBlocksAsync(block => block.Setup(BlockCommand()));
        await EnterWritingAsync();
    }

    private async Task CopyAsync()
    {
        if (await BlocksAreAsync(BlockActivity.Clean, block => block.Iterate(BlockCommand(State.Iteration))))
            await EnterAsync(MigrationStep.DeviceState, MigrationPhase.Device, "Takes the device state and syncs the pages.");
        else if (State.Step == MigrationStep.Copy)
            await DoneAsync(Writer.GetStatus());
    }

    /// <summary>What was asked of the guest may fail, and its image is published: then a person decides.</summary>
    private async Task TreatGuestAsync()
    {
        if (Spec.Request.Save is not { After: AfterSave.Run or AfterSave.Quit })
        {
            await EndAsync(MigrationPhase.Completed, FailureReason.None, SavedMessage());
            return;
        }

        var reply = await Writer.TreatGuest(HostCommand(State.Attempt));
        if (reply.Step == HostStep.Working)
            return;
        Take(reply);
        if (reply.Step == HostStep.Done)
        {
            await EndAsync(MigrationPhase.Completed, FailureReason.None, SavedMessage());
            return;
        }

        State.Reason = reply.Reason;
        await EnterAsync(MigrationStep.NeedsAttention, MigrationPhase.NeedsAttention,
            $"The image {Spec.Request.ImagePath} is published, but the guest was not treated as asked (--then {Spec.Request.Save.After.ToString().ToLowerInvariant()}): "
            + $"{reply.Message} 'distmigrate resume {Spec.Id}' tries that again, 'distmigrate cancel {Spec.Id}' leaves the guest as it is.");
        await RecordAsync();
    }

    private async Task AttendAsync()
    {
        if (_cancelRequested)
        {
            await EndAsync(MigrationPhase.Completed, FailureReason.None, $"{SavedMessage()} It was left so by the operator.");
        }
        else if (_resumeRequested)
        {
            _resumeRequested = false;
            State.Attempt++;
            await EnterAsync(MigrationStep.TreatGuest, MigrationPhase.Device, "Treats the guest as asked.");
        }
    }

    private async Task AbortAsync()
    {
        if (HasSource)
        {
            var reply = await Writer.Abort(HostCommand());
            Take(reply);
            if (reply.Step == HostStep.Working)
                return;
            if (reply.IsPublished && IsMove)
            {
                State.Published = time.GetUtcNow();
                await BeginGiveBackAsync(State.Reason, State.Message);
                return;
            }

            if (reply.IsPublished)
            {
                State.Reason = FailureReason.None;
                _cancelRequested = false;
                AddNote("It was too late to end it otherwise: the image was published already.");
                await EnterAsync(MigrationStep.TreatGuest, MigrationPhase.Device, "The image is published.");
                return;
            }

            if (reply.Step == HostStep.Failed)
                AddNote(reply.Message);
        }

        if (HasTarget)
        {
            if (await AskTargetAsync(loader => loader.Abort(HostCommand())) is not { Step: not HostStep.Working } ended)
                return;
            if (ended.Step == HostStep.Failed && ended.Reason != FailureReason.HostUnavailable)
                AddNote($"What waited for the guest on {Target} could not be ended: {ended.Message}");
        }

        var phase = State.Reason switch
        {
            FailureReason.None when IsPlan => MigrationPhase.Completed,
            FailureReason.Cancelled => MigrationPhase.Cancelled,
            _ => MigrationPhase.Failed,
        };
        await EndAsync(phase, State.Reason, State.Message);
    }

    private async Task ReleaseAsync()
    {
        await RecordAsync();
        if (HasSource)
            await Writer.Release(HostCommand());
        if (HasTarget)
            await ReleaseTargetAsync();
        await Host().Ended(Spec.Id);
        if (Spec.Storage.Length > 0)
            await GrainFactory.GetGrain<IStorageGrain>(Spec.Storage).Ended(Spec.Id);
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
                if (reply.Reason == FailureReason.Fenced)
                    PassToken(reply.TokenInForce);
                await FailAsync(reply.Reason, reply.Message);
                return false;
            case HostStep.Unknown:
                await FailAsync(FailureReason.SiloRestarted,
                    $"The silo of host {Spec.Host} ended during the migration; the guest got its run state back.");
                return false;
            default:
                if (reply.Trouble is { Reason: FailureReason.StorageStalled } stalled && IsSuspendable(State.Step))
                    await FailAsync(stalled.Reason, stalled.Error);
                return false;
        }
    }

    /// <summary>Commands all blocks; when one has failed, the migration has.</summary>
    /// <returns>Whether all of them are as wanted.</returns>
    private async Task<bool> BlocksAreAsync(BlockActivity wanted, Func<IRamBlockGrain, Task<BlockStatus>> command)
    {
        var blocks = await AllBlocksAsync(command);
        if (blocks.FirstOrDefault(block => block.Activity == BlockActivity.Failed) is { } failed)
        {
            await FailAsync(failed.Reason, $"RAMBlock {failed.Name}: {failed.Error}");
            return false;
        }

        return blocks.All(block => block.Activity == wanted);
    }

    private void Take(HostReply reply)
    {
        if (reply.Step == HostStep.Unknown)
            return;
        if (reply.RamBlocks.Count > 0)
            State.RamBlocks = reply.RamBlocks;
        if (State.Step is MigrationStep.Open or MigrationStep.Resume)
            State.Incarnation = reply.Incarnation;
        State.Downtime = reply.Downtime;
        State.WasRunning = reply.WasRunning;
        State.GuestState = reply.GuestState;
        State.IsLive = reply.IsLive;
        State.IsCompared = reply.IsCompared;
        State.SourceParts = reply.DowntimeParts ?? [];
        State.Notes = reply.Notes;
        _otherBytes = reply.OtherBytes;
        if (IsSuspendable(State.Step))
            State.Trouble = reply.Trouble;
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
            State.CopyStarted is null ? 0 : State.Iteration);
        if (State.CopyStarted is { } started && State.Step is MigrationStep.Copy or MigrationStep.Pass or MigrationStep.SwitchOver)
            State.BytesPerSecond = State.Ram.NormalBytes / Math.Max((time.GetUtcNow() - started).TotalSeconds, 1e-3);
        Changed();
        return blocks;
    }

    private string SavedMessage() => $"The image {Spec.Request.ImagePath} is published; the guest is {(State.GuestState.Length > 0 ? State.GuestState : "as it was")}.";
}

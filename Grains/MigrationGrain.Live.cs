using DistMigrate.Contracts;

namespace DistMigrate.Grains;

/// <summary>
/// The steps of a live save: the guest runs while its pages are written, again and again those that it changes, until what is left can
/// be written within the downtime that is allowed. Where QEMU streams, QEMU makes the passes and decides when that is so; where memory is
/// compared, they are made and decided here.
/// </summary>
internal sealed partial class MigrationGrain
{
    /// <summary>What a switch-over takes besides the pages: device state, fsync, publication. Measured: 40 to 90 ms on a disk.</summary>
    private static readonly TimeSpan SwitchOverCost = TimeSpan.FromMilliseconds(80);

    /// <summary>Iterations that may pass before the policy asks whether they lead anywhere.</summary>
    private const int Patience = 4;

    /// <summary>Iterations after which a guest that has not become quieter is not going to.</summary>
    private const int LastIteration = 40;

    /// <summary>Switch-overs after which one that stays within the allowed downtime is not to be expected.</summary>
    private const int MostCallOffs = 8;

    private const string WhatToDo = "Allow more (--max-downtime), let it finish whatever it takes (--policy must-finish), or stop it first (--mode stopped).";

    /// <summary>What the target of a move may lack when its guest is stopped; small RAMBlocks, which it does not fill, count as well.</summary>
    private const long TargetSlack = 48L << 20;

    /// <summary>How long the target of a move is waited for at least.</summary>
    private static readonly TimeSpan TargetCatchUp = TimeSpan.FromSeconds(10);

    /// <summary>How far the balanced policy lets the allowed downtime grow.</summary>
    private const int BalancedGrowth = 10;

    private DateTimeOffset _passBegan;
    private DateTimeOffset _lookBegan;
    private long _passBytes;
    private double _writeRate;
    private bool _isCaughtUp;
    private DateTimeOffset? _holdsSince;

    private SaveOptions SaveOptions => Spec.Request.Save ?? new SaveOptions();

    private bool IsStream => SaveOptions.Mode == SaveMode.Stream && !State.IsCompared;

    private bool IsSnapshot => SaveOptions.Mode == SaveMode.Snapshot;

    private TimeSpan AskedDowntime => SaveOptions.MaxDowntime ?? SaveOptions.DefaultDowntime;

    private string LiveMessage => IsStream ? "Writes the guest's pages as QEMU streams what changes."
        : IsSnapshot ? "Writes the guest as it was at one moment; it runs on."
        : "Writes the guest's pages while it runs.";

    public async Task<MigrationStatus> Complete()
    {
        EnsureLive();
        State.Budget = null;
        State.MustComplete = true;
        Wake();
        return await GetStatus();
    }

    public async Task<MigrationStatus> SetLimits(MigrationLimits limits)
    {
        if (limits.BandwidthLimit is { } bandwidth)
            SetBandwidth(bandwidth);
        if (limits.MaxDowntime is { } downtime)
            SetMaxDowntime(downtime);
        Wake();
        return await GetStatus();
    }

    private void SetMaxDowntime(TimeSpan downtime)
    {
        EnsureLive();
        if (downtime <= TimeSpan.Zero || downtime > TimeSpan.FromHours(1))
            throw new MigrationException(FailureReason.InvalidRequest, "The downtime is more than 0 and at most 1 hour.");
        State.Budget = downtime;
        State.JudgedAt = State.Live?.Iteration ?? 0;
    }

    /// <summary>The host is told with the next step; a resumption takes it from what was asked.</summary>
    private void SetBandwidth(long limit)
    {
        if (!HasSource || State.Phase.IsEnd() || State.Published is not null)
        {
            throw new MigrationException(FailureReason.InvalidRequest,
                $"Migration {Spec.Id} does not write the pages of a guest (it is {State.Phase.ToName()}), so there is no rate to limit.");
        }

        SaveOptions.CheckBandwidth(limit);
        State.Spec = Spec with { Request = Spec.Request with { Save = SaveOptions with { BandwidthLimit = limit } } };
    }

    private void EnsureLive()
    {
        if (!SaveOptions.IsLive || State.Phase.IsEnd() || State.Published is not null)
        {
            throw new MigrationException(FailureReason.InvalidRequest,
                $"Migration {Spec.Id} does not write what a running guest changes (it is {State.Phase.ToName()}), so there is no downtime to decide about.");
        }
    }

    /// <summary>The image is open and the blocks are set up.</summary>
    private async Task EnterWritingAsync()
    {
        if (!State.IsLive)
        {
            await EnterAsync(MigrationStep.Stop, MigrationPhase.Active, "Stops the guest.");
            return;
        }

        State.CopyStarted ??= time.GetUtcNow();
        if (!State.MustComplete && !IsSnapshot)
            State.Budget ??= AskedDowntime;
        _passBegan = default;

        if (IsMove)
            await PreloadAsync();

        // A stream's pages are written as it tells of them, up to the end.
        var isFed = IsStream || IsSnapshot;
        if (isFed)
            await AllBlocksAsync(block => block.Iterate(BlockCommand(State.Iteration) with { Slice = TimeSpan.Zero }));
        await EnterAsync(isFed ? MigrationStep.SwitchOver : MigrationStep.Pass, MigrationPhase.Active, LiveMessage);
    }

    /// <summary>A target that does not answer, or cannot be filled in advance, loads the image as a whole.</summary>
    private async Task PreloadAsync()
    {
        try
        {
            await Loader.Preload(HostCommand(State.Attempt));
        }
        catch (Exception e) when (IsAbsence(e) || e is MigrationException)
        {
            LogTargetAway(logger, Spec.Id, Target, State.Step, e.Message);
        }
    }

    private async Task PassAsync()
    {
        if (_passBegan == default)
            (_passBegan, _passBytes) = (time.GetUtcNow(), State.Ram.NormalBytes);
        if (await BlocksAreAsync(BlockActivity.Clean, block => block.Iterate(BlockCommand(State.Iteration))))
        {
            var took = (time.GetUtcNow() - _passBegan).TotalSeconds;
            if (State.Ram.NormalBytes - _passBytes is > 0 and var bytes && took > 0)
                _writeRate = bytes / took;
            _lookBegan = time.GetUtcNow();
            await EnterAsync(MigrationStep.Look, MigrationPhase.Active, "Compares the guest's memory with what was written.");
        }
        else if (State.Step == MigrationStep.Pass)
        {
            await DoneAsync(Writer.GetStatus());
        }
    }

    /// <summary>What changed during the pass tells what would be left if the guest were stopped now.</summary>
    private async Task LookAsync()
    {
        if (!await BlocksAreAsync(BlockActivity.Ready, block => block.SyncDirty(BlockCommand(State.Iteration + 1))))
            return;
        var now = time.GetUtcNow();
        var scan = _lookBegan == default ? TimeSpan.Zero : now - _lookBegan;
        var period = _passBegan == default ? TimeSpan.Zero : now - _passBegan;
        var dirty = State.Ram.Remaining;
        var dirtyRate = period > TimeSpan.Zero ? dirty / period.TotalSeconds : 0;
        var rate = Math.Max(_writeRate, 1);
        var expected = scan + SwitchOverCost + TimeSpan.FromSeconds(Math.Min((dirty + (dirtyRate * scan.TotalSeconds)) / rate, 1e6));
        State.Live = new ConvergenceStatus(State.Iteration, dirtyRate, _writeRate, dirty, expected, State.Budget);
        State.Iteration++;
        _passBegan = default;
        await JudgeAsync();
        if (State.Step != MigrationStep.Look)
            return;
        if (State.Budget is not { } budget || expected <= budget)
            await EnterAsync(MigrationStep.SwitchOver, MigrationPhase.PreSwitchover, "Stops the guest and writes what is left.");
        else
            await EnterAsync(MigrationStep.Pass, MigrationPhase.Active, LiveMessage);
    }

    private async Task SwitchOverAsync()
    {
        await BlocksAreAsync(BlockActivity.Clean, block => block.GetStatus());
        if (State.Step != MigrationStep.SwitchOver)
            return;
        var reply = await Writer.SwitchOver(HostCommand(State.Iteration) with { Budget = State.Budget, Holds = IsMove && IsStream && !_isCaughtUp });
        if (reply is { Step: HostStep.Failed, Reason: FailureReason.NotConverging })
        {
            Take(reply);
            AddNote($"Iteration {State.Iteration}: {reply.Message}");
            State.Iteration++;
            State.CalledOff++;
            GrowBudget();
            if (State.CalledOff < MostCallOffs || State.Budget is null || SaveOptions.Policy == ConvergencePolicy.MustFinish)
                await EnterWritingAsync();
            else
                await BeginAbortAsync(FailureReason.NotConverging, $"{State.CalledOff} times the guest was stopped and what was left could not be written in time. {WhatToDo}");
            return;
        }

        if (await DoneAsync(Task.FromResult(reply)))
        {
            await AllBlocksAsync(block => block.GetStatus());
            await EnterPublishedAsync();
            return;
        }

        if (State.Step != MigrationStep.SwitchOver || !IsStream)
            return;
        if (reply.Live is { } live)
            State.Live = live with { AllowedDowntime = State.Budget };
        await JudgeAsync();
        await JudgeTargetAsync();
        if (State.Step == MigrationStep.SwitchOver)
            await Writer.SetBudget(HostCommand() with { Budget = State.Budget, Holds = IsMove && !_isCaughtUp });
    }

    /// <summary>The guest of a move is stopped only once its target holds about all that is durable: what it lacks then is read while the guest
    /// stands still. A target that does not get there in time is not waited for.</summary>
    private async Task JudgeTargetAsync()
    {
        if (!IsMove || _isCaughtUp)
            return;
        _holdsSince ??= time.GetUtcNow();
        var unsettled = State.Blocks.Sum(block => block.Pages.InFlight + block.Pages.Written) * 4096;
        var durable = State.Blocks.Sum(block => block.Pages.Durable - Math.Min(block.Pages.Zero, block.Pages.Durable)) * 4096;
        long? preloaded = null;
        try
        {
            preloaded = (await Loader.GetStatus()).Preloaded;
        }
        catch (Exception e) when (IsAbsence(e) || e is MigrationException)
        {
            LogTargetAway(logger, Spec.Id, Target, State.Step, e.Message);
        }

        _isCaughtUp = State.MustComplete || preloaded is not { } there || (unsettled <= TargetSlack && there >= durable - TargetSlack)
            || time.GetUtcNow() - _holdsSince > TargetCatchUp + (time.GetUtcNow() - State.CopyStarted ?? TimeSpan.Zero) / 2;
    }

    /// <summary>What the policy says to iterations that do not lead to the end.</summary>
    private async Task JudgeAsync()
    {
        if (State.Live is not { } live || State.Budget is null)
            return;
        if (SaveOptions.MostIterations > 0 && live.Iteration >= SaveOptions.MostIterations)
        {
            State.Budget = null;
            return;
        }

        if (live.Iteration - State.JudgedAt < Patience)
            return;
        State.JudgedAt = live.Iteration;
        if (SaveOptions.Policy == ConvergencePolicy.MustFinish || (SaveOptions.Policy == ConvergencePolicy.Balanced && State.Budget < AskedDowntime * BalancedGrowth))
        {
            GrowBudget();
            return;
        }

        if (live.Iteration < LastIteration)
            return;
        await BeginAbortAsync(FailureReason.NotConverging,
            $"It does not converge: the guest changes {live.DirtyBytesPerSecond / (1 << 20):0} MiB/s, and {live.WriteBytesPerSecond / (1 << 20):0} MiB/s are written, so that it would stand still for "
            + $"{live.ExpectedDowntime.TotalSeconds:0.0} s. {WhatToDo}");
    }

    private void GrowBudget()
    {
        if (State.Budget is not { } budget)
            return;
        State.Budget = SaveOptions.Policy switch
        {
            ConvergencePolicy.MustFinish => budget < TimeSpan.FromMinutes(5) ? budget * 4 : null,
            ConvergencePolicy.Balanced => budget * 2 < AskedDowntime * BalancedGrowth ? budget * 2 : AskedDowntime * BalancedGrowth,
            _ => budget,
        };
    }
}

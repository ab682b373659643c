using DistMigrate.Contracts;
using Microsoft.Extensions.Logging;

namespace DistMigrate.Grains;

/// <summary>
/// The steps at a migration's target: those of a restore, and of a move once its image is published. From then on the claim beside
/// the image decides who may run the guest, so a target that does not answer keeps nobody from giving the guest back to its source.
/// </summary>
internal sealed partial class MigrationGrain
{
    /// <summary>How often a move that needs attention asks its target whether it can tell by now.</summary>
    private static readonly TimeSpan AttentionPace = TimeSpan.FromSeconds(5);

    /// <summary>How often a target that has lost what it was loading may begin anew while the guest stands still.</summary>
    private const int MostLoads = 3;

    /// <summary>Whether it is a move, or the plan of one.</summary>
    private bool IsMove => Spec.Request.Move is not null;

    private bool HasSource => Spec.Request.Kind != MigrationKind.Restore;

    private bool HasTarget => Spec.Request.Kind == MigrationKind.Restore || IsMove;

    private string Target => Spec.Request.Move?.Target ?? Spec.Host;

    /// <summary>A move holds the place of its own host already, and takes those of its target and of the storage in this order; since all do,
    /// nobody waits for somebody who waits for him.</summary>
    private async Task ReserveAsync()
    {
        if (await ReserveAtTargetAsync() is not { } position)
            return;
        var waitsFor = $"host {Target}";
        if (position == 0 && Spec.Storage.Length > 0)
        {
            position = await GrainFactory.GetGrain<IStorageGrain>(Spec.Storage).Reserve(Spec);
            waitsFor = $"storage {Spec.Storage}";
        }

        _position = position;
        if (position > 0)
        {
            State.Message = $"Waits for a place on {waitsFor}.";
            Pace(PausedTick);
            return;
        }

        State.Started = time.GetUtcNow();
        if (IsPlan)
            await EnterAsync(MigrationStep.Prepare, MigrationPhase.Setup, "Examines the guest, the storage, and where it is to go.");
        else if (HasTarget)
            await EnterAsync(MigrationStep.Prepare, IsMove ? MigrationPhase.Setup : MigrationPhase.Restoring, $"Has a QEMU on {Target} wait for the guest.");
        else
            await EnterAsync(MigrationStep.Open, MigrationPhase.Setup, "Examines the guest and the storage.");
    }

    private async Task<int?> ReserveAtTargetAsync()
    {
        if (!IsMove)
            return 0;
        var (position, absence) = await AskTargetAsync(() => GrainFactory.GetGrain<IHostGrain>(Target).Reserve(Spec));
        if (absence.Length > 0)
            await BeginAbortAsync(FailureReason.HostUnavailable, absence);
        return absence.Length > 0 || _isPaced ? null : position;
    }

    /// <summary>What the target has to know of the guest goes through this turn only: it may hold secrets.</summary>
    private async Task PrepareAsync()
    {
        SourceReport? source = null;
        if (HasSource)
        {
            var examined = await Writer.Examine(HostCommand(State.Attempt));
            if (examined.Step == HostStep.Working)
                return;
            if (examined.Source is null)
            {
                await BeginAbortAsync(examined.Reason, examined.Message);
                return;
            }

            source = examined.Source;
        }

        if (!HasTarget)
        {
            await EndPlanAsync(source!, null);
            return;
        }

        if (await AskTargetAsync(loader => loader.Prepare(HostCommand(State.Attempt) with { Source = source })) is not { Step: not HostStep.Working } reply)
            return;
        TakeOfTarget(reply);
        if (reply.Step != HostStep.Done)
            await BeginAbortAsync(reply.Reason, reply.Message);
        else if (IsPlan)
            await EndPlanAsync(source!, reply.IsFillable);
        else if (IsMove && State.Published is null && MakePlan(source!, reply.IsFillable) is var plan && NeedsConsent(plan))
            await BeginAbortAsync(FailureReason.ConsentNeeded, ConsentMessage(plan));
        else if (IsMove && State.Published is null)
            await EnterAsync(MigrationStep.Open, MigrationPhase.Setup, "Examines the guest and the storage.");
        else
            await EnterAsync(MigrationStep.Load, MigrationPhase.Restoring, "Checks the image and loads it.");
    }

    /// <summary>The image is published: a save has to treat its guest, a move has to load it.</summary>
    private async Task EnterPublishedAsync()
    {
        if (!IsMove)
        {
            await EnterAsync(MigrationStep.TreatGuest, MigrationPhase.Device, "The image is published.");
            return;
        }

        State.Published ??= time.GetUtcNow();
        State.Failures = 0;
        await EnterAsync(MigrationStep.Load, MigrationPhase.Restoring, $"Host {Target} checks the image and loads it.");
    }

    private async Task LoadAsync()
    {
        if (await AskTargetAsync(loader => loader.Load(TargetCommand(State.Attempt))) is not { Step: not HostStep.Working } reply)
            return;
        TakeOfTarget(reply);
        if (reply.Step == HostStep.Done)
            await EnterAsync(MigrationStep.Run, MigrationPhase.Restoring, "The guest is loaded; takes the claim to run it.");
        else
            await FailAtTargetAsync(reply);
    }

    private async Task RunGuestAsync()
    {
        if (await AskTargetAsync(loader => loader.Run(TargetCommand(State.Attempt))) is not { Step: not HostStep.Working } reply)
            return;
        TakeOfTarget(reply);
        if (reply.Step == HostStep.Done)
            await EnterRunsOnTargetAsync();
        else if (IsMove && reply.Reason == FailureReason.ClaimHeld)
            await NeedAttentionAsync(reply.Message);
        else
            await FailAtTargetAsync(reply);
    }

    /// <summary>A silo that has ended may load once more what it had; every other failure is final.</summary>
    private async Task FailAtTargetAsync(HostReply reply)
    {
        if (reply.Reason != FailureReason.SiloRestarted || State.Failures >= MostLoads)
        {
            await BeginAbortAsync(reply.Reason, reply.Message);
            return;
        }

        State.Failures++;
        State.Attempt++;
        await EnterAsync(MigrationStep.Prepare, MigrationPhase.Restoring, $"{reply.Message} It begins anew.");
    }

    private async Task EnterRunsOnTargetAsync()
    {
        if (!IsMove)
        {
            await EndAsync(MigrationPhase.Completed, FailureReason.None, $"QEMU has loaded {Spec.Request.ImagePath}; the guest is {State.GuestState}.");
            return;
        }

        if (State.Published is { } published)
            State.Downtime += time.GetUtcNow() - published;
        State.Reason = FailureReason.None;
        await EnterAsync(MigrationStep.EndSource, MigrationPhase.Restoring, $"The guest is {State.GuestState} on {Target}; ends its QEMU on {Spec.Host}.");
    }

    private async Task EndSourceAsync()
    {
        var reply = await Writer.EndSource(HostCommand(State.Attempt));
        if (reply.Step == HostStep.Working)
            return;
        State.IsImageFree = reply.Step == HostStep.Done;
        if (!State.IsImageFree)
            AddNote($"The guest's QEMU on {Spec.Host}, which stands still, could not be ended: {reply.Message} End it by hand; never continue it.");
        await EnterOverAsync();
    }

    /// <summary>Gives the guest back to its source: first its QEMU on the target goes, so that it can not run there.</summary>
    private async Task BeginGiveBackAsync(FailureReason reason, string message)
    {
        State.Reason = reason;
        await EnterAsync(MigrationStep.EndTarget, reason == FailureReason.Cancelled ? MigrationPhase.Cancelling : MigrationPhase.Restoring, message);
    }

    /// <summary>A target that does not answer is passed over: the claim decides.</summary>
    private async Task EndTargetAsync()
    {
        if (await AskTargetAsync(loader => loader.Abort(HostCommand(State.Attempt))) is not { Step: not HostStep.Working } reply)
            return;
        State.IsImageFree = reply.Step == HostStep.Done;
        if (reply is { Step: HostStep.Failed, Reason: FailureReason.ClaimHeld })
            await NeedAttentionAsync(reply.Message);
        else
            await EnterAsync(MigrationStep.TakeBack, State.Phase, State.Message);
    }

    private async Task TakeBackAsync()
    {
        var reply = await Writer.TakeBack(HostCommand(State.Attempt) with { IsForced = State.AdoptedBy == Spec.Host });
        switch (reply)
        {
            case { Step: HostStep.Working }:
                return;
            case { Step: HostStep.Done }:
                if (State.Published is { } published)
                    State.Downtime += time.GetUtcNow() - published;
                State.GuestState = reply.GuestState;
                await EnterOverAsync();
                return;
            case { Reason: FailureReason.ClaimHeld }:
                await NeedAttentionAsync(reply.Message);
                return;
            case { Reason: FailureReason.GuestExited }:
                State.IsImageFree = false;
                AddNote($"The guest's QEMU on {Spec.Host} has ended. If {Spec.Request.ImagePath} is still there, it has the guest as it was when it was stopped: 'distmigrate restore' lets it run.");
                await EnterOverAsync();
                return;
            default:
                State.Attempt++;
                State.Message = $"{State.Message} The guest stands still on {Spec.Host} until it has the claim to run: {reply.Message}";
                Pace(RetryAfter);
                return;
        }
    }

    /// <summary>It is decided who runs the guest. The image is of no use to anybody then, but stays while a QEMU that could run from it may be there.</summary>
    private Task EnterOverAsync()
    {
        if (Spec.Request.Move is not { KeepImage: false })
            return EndMoveAsync();
        if (State.IsImageFree)
            return EnterAsync(MigrationStep.RemoveImage, State.Phase, State.Message);
        AddNote($"The image {Spec.Request.ImagePath} stays, because a QEMU that has loaded it may still be there. Remove it with its side files once none is.");
        return EndMoveAsync();
    }

    private async Task RemoveImageAsync()
    {
        var reply = await Writer.RemoveImage(HostCommand(State.Attempt));
        if (reply.Step == HostStep.Working)
            return;
        if (reply.Step == HostStep.Failed)
            AddNote($"The image could not be removed: {reply.Message} Remove {Spec.Request.ImagePath} and its side files by hand.");
        await EndMoveAsync();
    }

    private Task EndMoveAsync()
    {
        if (State.Reason == FailureReason.None)
            return EndAsync(MigrationPhase.Completed, FailureReason.None, $"The guest is {State.GuestState} on {Target}.");
        var phase = State.Reason == FailureReason.Cancelled ? MigrationPhase.Cancelled : MigrationPhase.Failed;
        return EndAsync(phase, State.Reason, $"{State.Message.TrimEnd('.')}. The guest is {(State.GuestState.Length > 0 ? State.GuestState : "as it was")} on {Spec.Host}.");
    }

    private async Task NeedAttentionAsync(string why)
    {
        State.Attempt++;
        await EnterAsync(MigrationStep.NeedsAttention, MigrationPhase.NeedsAttention,
            $"Nobody can tell whether guest {Spec.Request.Guest} runs on {Target}, so it stays paused on {Spec.Host}: {why} Look at {Target}. "
            + $"If the guest runs there, 'distmigrate adopt {Spec.Id} --on {Target}' ends its QEMU on {Spec.Host}. If it does not and that host is off or its QEMU "
            + $"has ended, 'distmigrate adopt {Spec.Id} --on {Spec.Host}' lets it run on {Spec.Host}. If {Target} comes back and can tell, this goes on by itself.");
        await RecordAsync();
    }

    /// <summary>A person decides, or the target comes back and can tell.</summary>
    private async Task AttendMoveAsync()
    {
        if (_adoptRequested is { } host)
        {
            _adoptRequested = null;
            State.AdoptedBy = host;
            State.IsImageFree = false;
            AddNote($"The operator decided that the guest runs on {host}.");
            if (host == Target)
            {
                await EnterRunsOnTargetAsync();
                return;
            }

            State.Reason = State.Reason == FailureReason.None ? FailureReason.HostUnavailable : State.Reason;
            await EnterAsync(MigrationStep.TakeBack, MigrationPhase.Restoring, $"The operator gave the guest to {host}.");
            return;
        }

        _cancelRequested = _resumeRequested = false;
        HostReply reply;
        try
        {
            reply = await Loader.Run(TargetCommand(State.Attempt));
        }
        catch (Exception e) when (IsAbsence(e))
        {
            Pace(AttentionPace);
            return;
        }

        if (reply.Step == HostStep.Working)
            return;
        TakeOfTarget(reply);
        State.Attempt++;
        if (reply.Step == HostStep.Done)
            await EnterRunsOnTargetAsync();
        else if (reply.Reason == FailureReason.ClaimHeld)
            Pace(AttentionPace);
        else
            await BeginGiveBackAsync(reply.Reason, reply.Message);
    }

    /// <summary>Asks the target. While it does not answer, the question is repeated for some time, and then answered with a failure; a
    /// restore, whose guest stands nowhere still for it, waits.</summary>
    /// <returns>Null when it is to be asked again.</returns>
    private async Task<HostReply?> AskTargetAsync(Func<IImageLoaderGrain, Task<HostReply>> question)
    {
        var (reply, absence) = await AskTargetAsync(() => question(Loader));
        return absence.Length == 0 ? reply : HostReply.Unknown with { Step = HostStep.Failed, Reason = FailureReason.HostUnavailable, Message = absence };
    }

    /// <inheritdoc cref="AskTargetAsync(Func{IImageLoaderGrain, Task{HostReply}})"/>
    /// <returns>The answer, nothing when it is to be asked again, or how it fails to answer.</returns>
    private async Task<(T? Answer, string Absence)> AskTargetAsync<T>(Func<Task<T>> question)
    {
        try
        {
            var answer = await question();
            State.TargetLostSince = null;
            return (answer, "");
        }
        catch (Exception e) when (IsMove && IsAbsence(e))
        {
            var now = time.GetUtcNow();
            State.TargetLostSince ??= now;
            if (now - State.TargetLostSince >= options.Value.TargetPatience)
                return (default, $"Host {Target} does not answer: {e.Message}");
            LogTargetAway(logger, Spec.Id, Target, State.Step, e.Message);
            Pace(RetryAfter);
            return (default, "");
        }
    }

    private static bool IsAbsence(Exception e) =>
        e is TimeoutException or OrleansException or MigrationException { Reason: FailureReason.HostUnavailable };

    /// <summary>A target that is away finds out by itself that the migration has ended.</summary>
    private async Task ReleaseTargetAsync()
    {
        try
        {
            await Loader.Release(HostCommand());
        }
        catch (Exception e) when (IsMove && IsAbsence(e))
        {
            LogTargetAway(logger, Spec.Id, Target, State.Step, e.Message);
        }

        if (IsMove)
            await GrainFactory.GetGrain<IHostGrain>(Target).Ended(Spec.Id);
    }

    private HostCommand TargetCommand(int attempt) => HostCommand(attempt) with { WasRunning = State.WasRunning };

    /// <summary>What the target tells beside the outcome.</summary>
    private void TakeOfTarget(HostReply reply)
    {
        if (!IsMove && reply.RamBlocks.Count > 0)
            State.RamBlocks = reply.RamBlocks;
        if (reply.GuestState.Length > 0)
            State.GuestState = reply.GuestState;
        if (reply.DowntimeParts is { Count: > 0 } parts)
            State.TargetParts = parts;
        foreach (var note in reply.Notes.Except(State.FurtherNotes).ToArray())
            AddNote(note);
        Changed();
    }

    private void AddNote(string note) => State.FurtherNotes = [.. State.FurtherNotes, note];

    [LoggerMessage(Level = LogLevel.Warning, Message = "Migration {Id}: its target {Host} does not answer in step {Step}: {Why}")]
    private static partial void LogTargetAway(ILogger logger, string id, string host, MigrationStep step, string why);
}

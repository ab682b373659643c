using System.Text.Json;
using DistMigrate.Contracts;
using DistMigrate.Grains.Tracing;
using DistMigrate.Guests;
using DistMigrate.Transfer;
using Microsoft.Extensions.Logging;

namespace DistMigrate.Grains;

/// <summary>A save as the silo holds it: its attempt, whose engines and threads outlive any activation of its grains.</summary>
internal sealed partial class HostedSave(MigrationSpec spec, SaveAttempt attempt, SaveTrace trace, TimeProvider time, ILogger logger)
    : IAsyncDisposable
{
    /// <summary>How long an abort waits for a step that hangs in storage.</summary>
    private static readonly TimeSpan StuckLimit = TimeSpan.FromSeconds(5);

    private int _suspended;
    private volatile bool _isForsaken;
    private ConvergenceStatus? _live;

    public MigrationSpec Spec { get; } = spec;

    public SaveAttempt Attempt { get; } = attempt;

    public TokenGate Gate { get; } = new(time);

    /// <summary>Tells this attempt from that of any other silo of the host, and the storage as this host sees it from any other.</summary>
    public Guid Incarnation { get; } = Guid.NewGuid();

    /// <summary>The steps since the last interruption: each of them runs once.</summary>
    public StepRunner Steps { get; private set; } = new(time, logger);

    /// <summary>Runs a step and tells how far it and the whole save are.</summary>
    public async Task<HostReply> RunAsync(string step, Func<CancellationToken, Task> work, TimeSpan slice)
    {
        trace.Begin();
        using var scope = LogScopes.Of(logger, Spec);
        var (state, failure) = await Steps.RunAsync(step, work, slice);
        return Reply(state, failure);
    }

    public HostReply Reply(HostStep step, MigrationException? failure = null) => new(
        step, failure?.Reason ?? FailureReason.None, failure?.Message ?? "", Attempt.RamBlocks, Attempt.OtherBytes, Attempt.Downtime,
        Attempt.GuestState, Attempt.Notes, Attempt.IsPublished, TroubleOf(Attempt.Fault), Attempt.TokenInForce, Attempt.WasRunning,
        IsLive: Attempt.IsLive, Live: _live, DowntimeParts: [.. Attempt.DowntimeParts.Select(part => new DowntimePart(part.Name, part.Time))],
        IsCompared: Attempt.IsCompared, Incarnation: Incarnation);

    /// <summary>Whether a command is meant for this attempt. A coordinator that was overtaken may have opened it after a restart of the silo, and then
    /// the one in charge, which takes the guest for stopped, has to begin with an interruption.</summary>
    /// <param name="incarnation">What the command says; empty of a coordinator that knows none.</param>
    public bool IsMeant(Guid incarnation) => incarnation == default || incarnation == Incarnation;

    /// <summary>Ends a live save, once for each attempt number, and tells meanwhile how it goes on.</summary>
    public async Task<HostReply> SwitchOverAsync(HostCommand command, Func<Func<CancellationToken, Task>, CancellationToken, Task> obey)
    {
        var budget = command.Budget ?? Timeout.InfiniteTimeSpan;
        var reply = await RunAsync(
            $"switch over {command.Attempt}", cancellation => obey(token => Attempt.SwitchOverAsync(budget, command.Holds, token), cancellation), command.Slice);
        if (reply.Step != HostStep.Working || await SampleAsync() is not { } sample)
            return reply;
        _live = new ConvergenceStatus(
            sample.Iteration, sample.DirtyBytesPerSecond, sample.WriteBytesPerSecond, sample.Remaining, sample.ExpectedDowntime, command.Budget,
            sample.ThrottlePercent);
        return reply with { Live = _live };
    }

    /// <summary>Tells the switch-over under way its budget, and whether it is held back. To be repeated: before it is under way nobody hears it.</summary>
    public async Task SetBudgetAsync(TimeSpan? budget, bool holds)
    {
        Attempt.Hold(holds);
        try
        {
            await Attempt.SetBudgetAsync(budget ?? Timeout.InfiniteTimeSpan);
        }
        catch (GuestException e)
        {
            // The stream goes on as it was told before; the coordinator says so again.
            LogNotTold(logger, Spec.Request.Guest, Spec.Id, e);
        }
    }

    /// <summary>A guest that does not answer now tells nothing; whether the save can go on, its own steps say.</summary>
    private async Task<LiveSample?> SampleAsync()
    {
        try
        {
            return await Attempt.SampleAsync();
        }
        catch (GuestException e)
        {
            LogNotTold(logger, Spec.Request.Guest, Spec.Id, e);
            return null;
        }
    }

    /// <summary>Asks the guest what the target of a move has to know, once for each attempt number, and tells it.</summary>
    public async Task<HostReply> ExamineAsync(HostCommand command)
    {
        var reply = await RunAsync($"examine {command.Attempt}", cancellation => Attempt.ExamineAsync(Incarnation, cancellation), command.Slice);
        return reply.Step == HostStep.Done && Attempt.Facts is { } facts
            ? reply with
            {
                Source = new SourceReport(
                    JsonSerializer.Serialize(facts.Description, GuestDescriptionJson.Default.GuestDescription), facts.Arguments, facts.WorkingFolder, facts.RamBytes, Incarnation,
                    facts.UsedBytes, facts.IsRunning, facts.DirtyLog == DirtyLog.Complete, facts.DirtyLog == DirtyLog.Fatal),
            }
            : reply;
    }

    /// <summary>Interrupts the attempt, once for each attempt number: nothing of it goes on, the guest gets its run state back, the
    /// work done is kept. The steps may be asked for again afterwards.</summary>
    public async Task<HostReply> RunSuspensionAsync(HostCommand command)
    {
        if (_suspended != command.Attempt)
        {
            _suspended = command.Attempt;
            await BeginStepsAnewAsync();
            _isForsaken = false;
        }

        var reason = new MigrationException(FailureReason.Cancelled, command.Cause);
        return await RunAsync($"suspend {command.Attempt}", cancellation => Attempt.SuspendAsync(reason, cancellation), command.Slice);
    }

    /// <summary>Interrupts the attempt because its guest stands still and no coordinator is heard: this host may be cut off from all others.
    /// Nothing goes on before a coordinator has suspended and resumed it.</summary>
    public async Task ForsakeAsync()
    {
        _isForsaken = true;
        await BeginStepsAnewAsync();
        await Attempt.SuspendAsync(Forsaken(), CancellationToken.None);
    }

    /// <exception cref="MigrationException">The attempt was interrupted because no coordinator was heard.</exception>
    public void ThrowIfForsaken()
    {
        if (_isForsaken)
            throw Forsaken();
    }

    /// <summary>Interrupts the attempt because the silo ends; another silo may take it up again.</summary>
    public async Task SuspendAsync()
    {
        await Steps.CancelAsync(except: null, StuckLimit);
        await Attempt.SuspendAsync(new MigrationException(FailureReason.SiloRestarted, "The silo ended."), CancellationToken.None);
    }

    /// <summary>Ends the attempt unless it is published: nothing of it goes on, and the guest gets its run state back.</summary>
    public async Task AbortAsync(string? step)
    {
        await Steps.CancelAsync(step, StuckLimit);
        await Attempt.AbortAsync(CancellationToken.None);

        // It was too late, and the guest of the published image is to be treated.
        if (Attempt.IsPublished)
            Steps = new StepRunner(time, logger);
    }

    private async Task BeginStepsAnewAsync()
    {
        var steps = Steps;
        Steps = new StepRunner(time, logger);
        await steps.CancelAsync(except: null, TimeSpan.Zero);
    }

    private MigrationException Forsaken() => new(FailureReason.SiloRestarted,
        $"Host {Spec.Host} heard of no coordinator while it kept the guest stopped, so the guest got its run state back.");

    private StorageTrouble? TroubleOf(StorageFault? fault) => fault is null ? null : new StorageTrouble(
        FailureTranslation.ReasonOf(fault.Fault), fault.Error, fault.Since, fault.Attempts, fault.NextTry,
        fault.Fault == ImageFault.Stalled ? Attempt.CallsUnderWay : 0);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The monitor of guest {Guest} does not answer while it is streamed (migration {Id})")]
    private static partial void LogNotTold(ILogger logger, string guest, string id, Exception exception);

    public async ValueTask DisposeAsync()
    {
        await Steps.CancelAsync(except: null, TimeSpan.Zero);
        await Attempt.DisposeAsync();
        Steps.Dispose();
        trace.Dispose();
    }
}

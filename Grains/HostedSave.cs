using DistMigrate.Contracts;
using DistMigrate.Transfer;
using Microsoft.Extensions.Logging;

namespace DistMigrate.Grains;

/// <summary>A save as the silo holds it: its attempt, whose engines and threads outlive any activation of its grains.</summary>
internal sealed class HostedSave(MigrationSpec spec, SaveAttempt attempt, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    /// <summary>How long an abort waits for a step that hangs in storage.</summary>
    private static readonly TimeSpan StuckLimit = TimeSpan.FromSeconds(5);

    public MigrationSpec Spec { get; } = spec;

    public SaveAttempt Attempt { get; } = attempt;

    public TokenGate Gate { get; } = new();

    public StepRunner Steps { get; } = new(time, logger);

    /// <summary>Runs a step and tells how far it and the whole save are.</summary>
    public async Task<HostReply> RunAsync(string step, Func<CancellationToken, Task> work, TimeSpan slice)
    {
        var (state, failure) = await Steps.RunAsync(step, work, slice);
        return Reply(state, failure);
    }

    public HostReply Reply(HostStep step, MigrationException? failure = null) => new(
        step, failure?.Reason ?? FailureReason.None, failure?.Message ?? "", Attempt.RamBlocks, Attempt.OtherBytes, Attempt.Downtime,
        Attempt.GuestState, Attempt.Notes, Attempt.IsPublished);

    /// <summary>Ends the attempt unless it is published: nothing of it goes on, and the guest gets its run state back.</summary>
    public async Task AbortAsync(string? step)
    {
        await Steps.CancelAsync(step, StuckLimit);
        await Attempt.AbortAsync(CancellationToken.None);
    }

    public async ValueTask DisposeAsync()
    {
        await Steps.CancelAsync(except: null, TimeSpan.Zero);
        await Attempt.DisposeAsync();
        Steps.Dispose();
    }
}

using DistMigrate.Contracts;
using DistMigrate.Transfer;
using Microsoft.Extensions.Logging;

namespace DistMigrate.Grains;

/// <summary>A restore as the silo holds it.</summary>
internal sealed class HostedLoad(LoadAttempt attempt, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    public LoadAttempt Attempt { get; } = attempt;

    public TokenGate Gate { get; } = new();

    public StepRunner Steps { get; } = new(time, logger);

    public HostReply Reply(HostStep step, MigrationException? failure = null) => new(
        step, failure?.Reason ?? FailureReason.None, failure?.Message ?? "", Attempt.RamBlocks, 0, TimeSpan.Zero, Attempt.GuestState,
        Attempt.Notes, IsPublished: false);

    public async ValueTask DisposeAsync()
    {
        await Steps.CancelAsync(except: null, TimeSpan.Zero);
        await Attempt.DisposeAsync();
        Steps.Dispose();
    }
}

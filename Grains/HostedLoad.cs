using System.Text.Json;
using DistMigrate.Contracts;
using DistMigrate.Grains.Tracing;
using DistMigrate.Guests;
using DistMigrate.Transfer;
using Microsoft.Extensions.Logging;

namespace DistMigrate.Grains;

/// <summary>A load of an image as the silo holds it. Its steps run once for each attempt number.</summary>
internal sealed class HostedLoad(MigrationSpec spec, LoadAttempt attempt, HostOptions options, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    /// <summary>How long an abort waits for a step under way.</summary>
    private static readonly TimeSpan StuckLimit = TimeSpan.FromSeconds(5);

    private StepRunner _steps = new(time, logger);
    private int? _aborted;

    public MigrationSpec Spec { get; } = spec;

    public LoadAttempt Attempt { get; } = attempt;

    public TokenGate Gate { get; } = new(time);

    public Task<HostReply> PrepareAsync(HostCommand command)
    {
        var source = command.Source is { } report
            ? new SourceFacts(
                JsonSerializer.Deserialize(report.Description, GuestDescriptionJson.Default.GuestDescription)
                    ?? throw new MigrationException(FailureReason.InvalidRequest, "The source's description of the guest is empty."),
                report.Arguments, report.WorkingFolder, report.RamBytes)
            : null;
        return StepAsync(command, "prepare", async cancellation =>
        {
            // The path was judged on the host that the migration was submitted to; of a move, that is another one.
            await StorageRoots.ResolveAsync(options.StorageRoots, command.Spec.Request.ImagePath, time);
            await Attempt.PrepareAsync(source, command.Source?.Probe ?? Guid.Empty, cancellation);
        });
    }

    public Task<HostReply> PreloadAsync(HostCommand command) => StepAsync(command, "preload", Attempt.PreloadAsync);

    public Task<HostReply> LoadAsync(HostCommand command) => StepAsync(command, "load", cancellation =>
        Attempt.IsPrepared ? Attempt.LoadAsync(cancellation) : throw Lost("the QEMU there waited for the guest"));

    public Task<HostReply> RunAsync(HostCommand command) => StepAsync(command, "run", async cancellation =>
    {
        if (await Attempt.ReattachAsync(cancellation) != Attachment.Loaded)
            throw Lost("the guest was loaded there");
        await Attempt.RunAsync(command.WasRunning, cancellation);
    });

    /// <summary>Ends what is under way and gives the load up. Its steps may be asked for again afterwards.</summary>
    public async Task<HostReply> AbortAsync(HostCommand command)
    {
        if (_aborted != command.Attempt)
        {
            _aborted = command.Attempt;
            var steps = _steps;
            _steps = new StepRunner(time, logger);
            await steps.CancelAsync(except: null, StuckLimit);
        }

        return await StepAsync(command, "abort", Attempt.AbortAsync);
    }

    public HostReply Reply(HostStep step, MigrationException? failure = null) => new(
        step, failure?.Reason ?? FailureReason.None, failure?.Message ?? "", Attempt.RamBlocks, 0, TimeSpan.Zero, Attempt.GuestState,
        Attempt.Notes, IsPublished: false, DowntimeParts: [.. Attempt.DowntimeParts.Select(part => new DowntimePart(part.Name, part.Time))],
        Preloaded: Attempt.Preloaded, IsFillable: Attempt.IsFillable);

    public async ValueTask DisposeAsync()
    {
        await _steps.CancelAsync(except: null, TimeSpan.Zero);
        await Attempt.DisposeAsync();
        _steps.Dispose();
    }

    private async Task<HostReply> StepAsync(HostCommand command, string step, Func<CancellationToken, Task> work)
    {
        using var scope = LogScopes.Of(logger, Spec);
        var (state, failure) = await _steps.RunAsync($"{step} {command.Attempt}", work, command.Slice);
        return Reply(state, failure);
    }

    private MigrationException Lost(string when) => new(FailureReason.SiloRestarted, $"The silo of host {options.Name} ended while {when}.");
}

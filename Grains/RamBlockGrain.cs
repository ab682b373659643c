using DistMigrate.Contracts;
using DistMigrate.Grains.Placement;
using DistMigrate.Grains.Tracing;
using DistMigrate.Guests;
using DistMigrate.Transfer;
using Microsoft.Extensions.Logging;

namespace DistMigrate.Grains;

/// <inheritdoc cref="IRamBlockGrain"/>
[HostPinned, GrainType("distmigrate.ram-block")]
internal sealed partial class RamBlockGrain(HostedMigrations migrations, TimeProvider time, ILogger<RamBlockGrain> logger) : Grain, IRamBlockGrain
{
    private const int MostCells = 1024;

    private string? _migration;

    private string Name => GrainKeys.ParseRamBlock(this.GetPrimaryKeyString()).RamBlock;

    public Task<BlockStatus> Setup(BlockCommand command)
    {
        var save = Obeyed(command);
        return Task.FromResult(StatusOf(save, Block(save)));
    }

    public async Task<BlockStatus> Iterate(BlockCommand command)
    {
        var save = Obeyed(command);
        var block = Block(save);
        save.Attempt.Iterate(block, command.Iteration);
        await Task.WhenAny(block.Settled, Task.Delay(command.Slice, time));
        return StatusOf(save, block);
    }

    public Task<BlockStatus> SyncDirty(BlockCommand command) =>
        RunAsync(command, "sync", BlockActivity.Ready, (save, block) => save.Attempt.SyncDirtyAsync(block));

    public Task<BlockStatus> Complete(BlockCommand command) =>
        RunAsync(command, "complete", BlockActivity.Completed, (save, block) => save.Attempt.HandOverAsync(block));

    public Task<BlockStatus> Cancel(BlockCommand command)
    {
        if (migrations.FindSave(command.MigrationId) is not { } save)
            return Task.FromResult(Idle());
        save.Gate.Obey(command.Token);
        if (save.Attempt.FindBlock(Name) is not { } block)
            return Task.FromResult(Idle());
        block.Cancel();
        return Task.FromResult(StatusOf(save, block));
    }

    public Task<BlockStatus> GetStatus() => Task.FromResult(
        _migration is not null && migrations.FindSave(_migration) is { } save && save.Attempt.FindBlock(Name) is { } block ? StatusOf(save, block) : Idle());

    public Task<IReadOnlyList<PageCounts>> GetMap(string migrationId, int cells)
    {
        if (migrations.FindSave(migrationId)?.Attempt.FindBlock(Name) is not { } block)
            return Task.FromResult<IReadOnlyList<PageCounts>>([]);
        var counts = new CellCounts[Math.Min(Math.Clamp(cells, 1, MostCells), block.Layout.PageCount)];
        return Task.FromResult<IReadOnlyList<PageCounts>>(block.TryCount(counts)
            ? [.. counts.Select(cell => new PageCounts(cell.Dirty, cell.InFlight, cell.Written, cell.Durable, cell.Zero))]
            : []);
    }

    /// <summary>Runs a step on the block; the status tells by its activity whether it is done, under way (syncing) or failed.</summary>
    private async Task<BlockStatus> RunAsync(BlockCommand command, string step, BlockActivity done, Func<HostedSave, BlockEngine, Task> work)
    {
        var save = Obeyed(command);
        var block = Block(save);
        var (state, failure) = await save.Steps.RunAsync($"{step} {Name} {command.Iteration}", _ => work(save, block), command.Slice);
        return state switch
        {
            HostStep.Done => StatusOf(save, block) with { Activity = done },
            HostStep.Failed => StatusOf(save, block) with { Activity = BlockActivity.Failed, Reason = failure!.Reason, Error = failure.Message },
            _ => StatusOf(save, block) with { Activity = BlockActivity.Syncing },
        };
    }

    private HostedSave Obeyed(BlockCommand command)
    {
        var save = migrations.FindObeyed(command.MigrationId, command.Token, command.Incarnation)
            ?? throw new MigrationException(FailureReason.SiloRestarted, $"This silo knows nothing of what was done for migration {command.MigrationId}; it has restarted since.");
        _migration = command.MigrationId;
        return save;
    }

    private BlockEngine Block(HostedSave save) =>
        save.Attempt.FindBlock(Name) ?? throw new InvalidOperationException($"RAMBlock {Name} was not set up.");

    private BlockStatus Idle() => new(Name, BlockActivity.Idle, 0, new PageCounts(0, 0, 0, 0, 0), 0, 0, 0, 0, 0, "", FailureReason.None, "", new WrittenPages(0, 0, 0), 0);

    private BlockStatus StatusOf(HostedSave save, BlockEngine block)
    {
        var now = block.Snapshot();
        var failure = now.Error is null ? null : FailureTranslation.Translate(now.Error);
        if (failure is not null)
        {
            using var scope = LogScopes.Of(logger, save.Spec, block.Layout.Name);
            LogFailed(logger, block.Layout.Name, failure.Reason, now.Error!);
        }

        return new BlockStatus(
            block.Layout.Name, ActivityOf(now.State), block.Layout.UsedLength,
            new PageCounts(now.Dirty, now.InFlight, now.Written, now.Durable, now.Zero), now.Normal, now.Duplicate, now.WrittenBytes,
            now.Errors, now.Iteration, MemoryOf(block.Memory.Kind), failure?.Reason ?? FailureReason.None, failure?.Message ?? "",
            new WrittenPages(now.First, now.Redirtied, now.Resumed), now.Failed);
    }

    private static string MemoryOf(GuestMemoryKind kind) => kind switch
    {
        GuestMemoryKind.SharedFile => "shared-file",
        GuestMemoryKind.Memfd => "memfd",
        _ => "private",
    };

    private static BlockActivity ActivityOf(BlockState state) => state switch
    {
        BlockState.Iterating => BlockActivity.Iterating,
        BlockState.Clean => BlockActivity.Clean,
        BlockState.Failed => BlockActivity.Failed,
        BlockState.Completed => BlockActivity.Completed,
        BlockState.Cancelled => BlockActivity.Cancelled,
        _ => BlockActivity.Ready,
    };

    [LoggerMessage(Level = LogLevel.Warning, Message = "RAMBlock {RamBlock} failed: {Reason}")]
    private static partial void LogFailed(ILogger logger, string ramBlock, FailureReason reason, Exception error);
}

using Polly;
using Polly.Retry;

namespace DistMigrate.Transfer;

/// <summary>
/// Closes the epoch that makes every page of a stopped guest durable. After a failure that may pass, what it lost is written again
/// and another epoch closed, within the time for which a fault may keep the guest stopped; fsync is never just repeated.
/// </summary>
/// <param name="session">The image.</param>
/// <param name="engines">Its RAMBlocks.</param>
/// <param name="patience">For how long a fault may keep the guest stopped.</param>
/// <param name="time">The clock.</param>
/// <param name="compare">Finds, once nothing is being written, the pages that changed and of which nobody told; null where somebody always does.</param>
internal sealed class FinalEpoch(
    ImageSession session, IReadOnlyList<BlockEngine> engines, TimeSpan patience, TimeProvider time, Func<CancellationToken, Task>? compare = null)
{
    private readonly long _begun = time.GetTimestamp();
    private bool _isCompared = compare is null;

    /// <exception cref="ImageException">The storage failed for good, or too long.</exception>
    public async Task CloseAsync(CancellationToken cancellationToken)
    {
        var pipeline = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddRetry(new RetryStrategyOptions
            {
                MaxRetryAttempts = int.MaxValue,
                Delay = TimeSpan.FromMilliseconds(100),
                MaxDelay = TimeSpan.FromSeconds(2),
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                ShouldHandle = arguments => ValueTask.FromResult(
                    arguments.Outcome.Exception is ImageException failure && StorageWatch.IsPassing(failure) && time.GetElapsedTime(_begun) < patience),
            })
            .Build();
        await pipeline.ExecuteAsync(
            async cancellation =>
            {
                await WriteDirtyAsync(cancellation);
                if (!_isCompared)
                {
                    await compare!(cancellation);
                    _isCompared = true;
                    await WriteDirtyAsync(cancellation);
                }

                await StorageThread.RunAsync(session.Epochs.Close).WaitAsync(cancellation);
            },
            cancellationToken);
    }

    /// <summary>Lets the writers work on what is dirty.</summary>
    public static void BeginWriting(ImageSession session, IReadOnlyList<BlockEngine> engines)
    {
        foreach (var engine in engines)
        {
            if (engine.Snapshot() is { Dirty: > 0 } now)
                engine.BeginIteration(now.Iteration, again: true);
        }

        session.Wake();
    }

    private async Task WriteDirtyAsync(CancellationToken cancellationToken)
    {
        BeginWriting(session, engines);
        foreach (var engine in engines)
        {
            if (engine.Snapshot().State != BlockState.Iterating)
                continue;
            await engine.Settled.WaitAsync(cancellationToken);
            if (engine.Snapshot() is { State: BlockState.Failed, Error: { } error })
                throw error;
        }
    }
}

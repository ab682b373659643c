using DistMigrate.Posix;
using Polly;
using Polly.Retry;

namespace DistMigrate.Transfer;

/// <summary>
/// Watches the calls to one image's storage: how many are under way and for how long nothing has come back; tries those again that
/// failed in a passing way; and refuses all further ones once the attempt is interrupted. Thread-safe; allocates nothing while all
/// goes well.
/// </summary>
/// <param name="patience">How long after the first failure calls are tried again.</param>
/// <param name="time">The clock.</param>
/// <param name="observer">Is told of every call; may be null.</param>
internal sealed class StorageWatch(TimeSpan patience, TimeProvider time, IStorageObserver? observer = null) : IDisposable
{
    private readonly CancellationTokenSource _interrupted = new();
    private readonly Lock _gate = new();
    private ResiliencePipeline<ImageException?>? _retry;
    private StorageFault? _fault;
    private long _underWay;
    private long _lastEvent = time.GetTimestamp();

    /// <summary>What is wrong now; null when the last call went well.</summary>
    public StorageFault? Fault => Volatile.Read(ref _fault);

    /// <summary>Calls that have not returned.</summary>
    public int UnderWay => (int)Interlocked.Read(ref _underWay);

    /// <summary>Ends when the attempt is interrupted.</summary>
    public CancellationToken Interrupted => _interrupted.Token;

    /// <summary>How long a call has been under way while none came back; zero when none is under way.</summary>
    public TimeSpan Silence => UnderWay == 0 ? TimeSpan.Zero : time.GetElapsedTime(Interlocked.Read(ref _lastEvent));

    /// <summary>No further call begins, and none is tried again; those under way return when the storage lets them.</summary>
    public void Interrupt() => _interrupted.Cancel();

    /// <summary>Makes a call that may be made again after a passing failure, because its outcome is the same then.</summary>
    /// <param name="operation">What kind of call it is.</param>
    /// <param name="call">The call; returns its failure, or null.</param>
    /// <param name="state">What it works on.</param>
    /// <exception cref="ImageException">It failed for good, or too long.</exception>
    public void Try<TState>(StorageOperation operation, Func<TState, ImageException?> call, TState state)
    {
        _interrupted.Token.ThrowIfCancellationRequested();
        var failure = Once(operation, call, state);
        if (failure is null)
            return;
        if (IsPassing(failure))
            failure = Retry().Execute(static (attempt, _) => attempt.Watch.Once(attempt.operation, attempt.call, attempt.state), (Watch: this, operation, call, state), _interrupted.Token);
        if (failure is not null)
            throw failure;
    }

    /// <summary>Makes a call once, also after the interruption: what was written before it may still be made durable.</summary>
    /// <exception cref="ImageException">It failed.</exception>
    public void Do<TState>(StorageOperation operation, Func<TState, ImageException?> call, TState state)
    {
        if (Once(operation, call, state) is { } failure)
            throw failure;
    }

    /// <summary>Counts work on the image's side files as a call under way, since it may hang as well.</summary>
    public void Track(Action work)
    {
        Enter();
        try
        {
            work();
        }
        finally
        {
            Leave();
        }
    }

    /// <summary>Tells the observer of a change of the journal, which counts and tries again by itself.</summary>
    /// <exception cref="ImageException">It failed.</exception>
    public void Journal(Action change)
    {
        var began = time.GetTimestamp();
        try
        {
            change();
            observer?.Called(StorageOperation.Journal, time.GetElapsedTime(began), errno: null);
        }
        catch (ImageException e)
        {
            observer?.Called(StorageOperation.Journal, time.GetElapsedTime(began), e.Errno);
            throw;
        }
    }

    public void Dispose() => _interrupted.Dispose();

    /// <summary>Whether the same call may well succeed a little later.</summary>
    public static bool IsPassing(ImageException failure) =>
        failure.Errno is Errno.EIO or Errno.ENOTCONN or Errno.ETIMEDOUT or Errno.EAGAIN;

    private ImageException? Once<TState>(StorageOperation operation, Func<TState, ImageException?> call, TState state)
    {
        Enter();
        var began = time.GetTimestamp();
        ImageException? failure;
        try
        {
            failure = call(state);
        }
        finally
        {
            Leave();
        }

        observer?.Called(operation, time.GetElapsedTime(began), failure?.Errno);
        if (failure is not null)
            Note(failure, attempt: 0, delay: null);
        else if (Volatile.Read(ref _fault) is not null)
            Volatile.Write(ref _fault, null);
        return failure;
    }

    private void Enter()
    {
        if (Interlocked.Increment(ref _underWay) == 1)
            Interlocked.Exchange(ref _lastEvent, time.GetTimestamp());
    }

    private void Leave()
    {
        Interlocked.Exchange(ref _lastEvent, time.GetTimestamp());
        Interlocked.Decrement(ref _underWay);
    }

    private void Note(ImageException failure, int attempt, TimeSpan? delay)
    {
        lock (_gate)
        {
            var now = time.GetUtcNow();
            _fault = new StorageFault(
                failure.Fault, failure.Message, _fault?.Since ?? now, (_fault?.Attempts ?? 0) + (attempt > 0 ? 1 : 0), now + delay);
        }
    }

    private ResiliencePipeline<ImageException?> Retry()
    {
        lock (_gate)
        {
            return _retry ??= new ResiliencePipelineBuilder<ImageException?> { TimeProvider = time }
                .AddRetry(new RetryStrategyOptions<ImageException?>
                {
                    MaxRetryAttempts = int.MaxValue,
                    Delay = TimeSpan.FromMilliseconds(50),
                    MaxDelay = TimeSpan.FromSeconds(2),
                    BackoffType = DelayBackoffType.Exponential,
                    UseJitter = true,
                    ShouldHandle = arguments => ValueTask.FromResult(
                        arguments.Outcome.Result is { } failure && IsPassing(failure)
                        && Fault is { } fault && time.GetUtcNow() - fault.Since < patience),
                    OnRetry = arguments =>
                    {
                        Note(arguments.Outcome.Result!, arguments.AttemptNumber + 1, arguments.RetryDelay);
                        return ValueTask.CompletedTask;
                    },
                })
                .Build();
        }
    }
}

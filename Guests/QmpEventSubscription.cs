using System.Threading.Channels;

namespace DistMigrate.Guests;

/// <summary>
/// The events of one QMP connection from the moment of <see cref="QmpClient.Subscribe"/> on. Subscribe before the command whose
/// events matter: what arrives in between is kept.
/// </summary>
public sealed class QmpEventSubscription : IDisposable
{
    private const int Capacity = 4096;

    private readonly Channel<QmpEvent> _events = Channel.CreateBounded<QmpEvent>(Capacity);
    private readonly TimeProvider _time;
    private readonly Action<QmpEventSubscription> _leave;

    internal QmpEventSubscription(TimeProvider time, Action<QmpEventSubscription> leave)
    {
        _time = time;
        _leave = leave;
    }

    /// <summary>All events in order, until the connection ends or this is disposed.</summary>
    /// <exception cref="GuestException">The connection ended, or events were left unread until the buffer of 4096 was full.</exception>
    public IAsyncEnumerable<QmpEvent> ReadAllAsync(CancellationToken cancellationToken) => _events.Reader.ReadAllAsync(cancellationToken);

    /// <summary>The next event that fits; those before it are dropped from this subscription.</summary>
    /// <returns>The event, or null when none fitted within <paramref name="timeout"/>.</returns>
    /// <exception cref="GuestException">The connection ended.</exception>
    public async Task<QmpEvent?> TryWaitAsync(Func<QmpEvent, bool> fits, TimeSpan timeout, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(timeout, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            await foreach (var item in _events.Reader.ReadAllAsync(either.Token))
            {
                if (fits(item))
                    return item;
            }
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            return null;
        }

        throw new ObjectDisposedException(nameof(QmpEventSubscription));
    }

    /// <summary>The next event that fits; those before it are dropped from this subscription.</summary>
    /// <exception cref="GuestException">None fitted within <paramref name="timeout"/> (TimedOut), or the connection ended.</exception>
    public async Task<QmpEvent> WaitAsync(Func<QmpEvent, bool> fits, TimeSpan timeout, CancellationToken cancellationToken) =>
        await TryWaitAsync(fits, timeout, cancellationToken)
        ?? throw new GuestException(GuestFault.TimedOut, $"QEMU did not report the awaited event within {timeout.TotalSeconds:0.#} s.");

    /// <inheritdoc/>
    public void Dispose()
    {
        _leave(this);
        _events.Writer.TryComplete();
    }

    internal void Add(QmpEvent item)
    {
        if (!_events.Writer.TryWrite(item))
            _events.Writer.TryComplete(new GuestException(
                GuestFault.TimedOut, $"More than {Capacity} QMP events were left unread; the listener is stuck. Connect again."));
    }

    internal void End(GuestException why) => _events.Writer.TryComplete(why);
}

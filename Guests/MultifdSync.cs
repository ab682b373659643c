namespace DistMigrate.Guests;

/// <summary>
/// Where the channels of a multifd stream and its main channel wait for each other: a channel stops at each of its sync packets until the main
/// channel is at the point that belongs to it, and the main channel there until all channels have come. So what a channel sends of one pass is
/// never taken for newer than what another sends of the next.
/// </summary>
/// <param name="channels">Channels beside the main one.</param>
internal sealed class MultifdSync(int channels) : IDisposable
{
    private readonly Barrier _barrier = new(channels + 1);
    private readonly CancellationTokenSource _ended = new();

    /// <summary>Channels beside the main one.</summary>
    public int Channels => channels;

    /// <summary>Waits for all the others.</summary>
    /// <exception cref="GuestException">DeviceState: the stream has ended or failed elsewhere.</exception>
    public void Meet()
    {
        try
        {
            _barrier.SignalAndWait(_ended.Token);
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            throw new GuestException(GuestFault.DeviceState, "A channel of QEMU's migration stream has ended before the others.", e);
        }
    }

    /// <summary>Nobody waits any more.</summary>
    public void End() => _ended.Cancel();

    /// <inheritdoc/>
    public void Dispose()
    {
        _barrier.Dispose();
        _ended.Dispose();
    }
}

using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>
/// The end of a live save: the guest is stopped, by QEMU at the end of its stream or by us, its last pages and its device state are
/// taken, and the image is published. One operation on the guest's host, since the guest stands still for it. When that lasts longer
/// than is allowed it is called off: the guest runs on, and what was written is kept for the next try.
/// </summary>
/// <param name="image">The image.</param>
/// <param name="guest">The guest.</param>
/// <param name="plan">What is saved and how.</param>
/// <param name="time">The clock.</param>
internal sealed class SwitchOver(ImageAttempt image, SourceGuest guest, SavePlan plan, TimeProvider time) : IDisposable
{
    /// <summary>How often QEMU is asked whether what is left has come within the budget, and how many times that is to have been so.</summary>
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(100);

    private const int MostLooks = 5;

    private readonly CancellationTokenSource _watchdog = new(Timeout.InfiniteTimeSpan, time);
    private readonly Lock _gate = new();
    private readonly DowntimeParts _parts = new(time);
    private StreamFeed? _feed;
    private StreamLimits? _told;
    private volatile bool _isEager = true;
    private long _stoppedAt;
    private bool _isOver;
    private long _sampledAt;
    private long _sampledBytes;

    /// <summary>How long the guest may stand still before the image is published; <see cref="Timeout.InfiniteTimeSpan"/> for as long as it takes.</summary>
    public TimeSpan Budget { get; set; }

    /// <summary>What the guest has stood still for.</summary>
    public IReadOnlyList<(string Name, TimeSpan Time)> Parts => _parts.All;

    /// <summary>Whether the guest's stop is held back for the target of a move.</summary>
    public bool IsHeld { get; set; }

    /// <summary>Does it once.</summary>
    /// <param name="gate">Held while QEMU is asked.</param>
    /// <param name="cancellationToken">Ends it; its caller gives the guest its run state back.</param>
    /// <exception cref="GuestException">Downtime: it was called off, and the guest runs on. Else the guest does not obey, or changed its shape.</exception>
    /// <exception cref="ImageException">The storage failed.</exception>
    public async Task RunAsync(SemaphoreSlim gate, CancellationToken cancellationToken)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(_watchdog.Token, cancellationToken);
        var publication = Task.CompletedTask;
        try
        {
            var devices = await TakeGuestAsync(gate, either.Token);
            await new FinalEpoch(Session, image.Engines, plan.Options.MaxDowntime, time, MustCompare ? CompareAsync : null).CloseAsync(either.Token);
            _parts.End("write");
            publication = StorageThread.RunAsync(() => Publish(devices, either.Token));
            await publication.WaitAsync(either.Token);
        }
        catch (OperationCanceledException) when (_watchdog.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            if (await StorageThread.RunAsync(() => !image.TryUndecided()))
            {
                await publication;
                return;
            }

            await CallOffAsync(gate, publication, cancellationToken);
        }
    }

    /// <summary>Changes the budget, also of the stream under way. A stream that only begins may miss it: to be repeated.</summary>
    /// <exception cref="GuestException">QEMU did not take it.</exception>
    public async Task SetBudgetAsync(TimeSpan budget)
    {
        lock (_gate)
        {
            Budget = budget;
            if (_isOver)
                return;
            if (_stoppedAt != 0)
            {
                Watch(time.GetElapsedTime(_stoppedAt));
                return;
            }
        }

        if (_feed is not { } feed)
            return;
        feed.Budget = ForFeed;
        var limits = Limits;
        if (limits == _told || await guest.QueryStreamAsync(CancellationToken.None) is null)
            return;
        await guest.SetStreamLimitsAsync(limits, CancellationToken.None);
        _told = limits;
    }

    /// <summary>Holds the guest's stop back, or no longer.</summary>
    public void Hold(bool isHeld)
    {
        IsHeld = isHeld;
        if (_feed is { } feed)
            feed.IsHeld = isHeld;
    }

    /// <summary>How the stream goes on; null while the guest stands still, or there is none.</summary>
    public async Task<LiveSample?> SampleAsync()
    {
        if (_feed is null || Volatile.Read(ref _stoppedAt) != 0 || await guest.QueryStreamAsync(CancellationToken.None) is not { } stream)
            return null;
        var now = time.GetTimestamp();
        var written = image.Engines.Sum(engine => engine.WrittenBytes);
        var rate = _sampledAt == 0 ? 0 : (written - _sampledBytes) / time.GetElapsedTime(_sampledAt, now).TotalSeconds;
        (_sampledAt, _sampledBytes) = (now, written);
        var remaining = stream.Remaining + image.Engines.Sum(engine => engine.Backlog);
        var fastest = Math.Max(_feed.Fastest, Math.Max(rate, 1));
        return new LiveSample(
            stream.Iteration, stream.DirtyBytesPerSecond, rate, remaining, Comparison + TimeSpan.FromSeconds(Math.Min(remaining / fastest, 1e6)),
            stream.ThrottlePercent);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            _isOver = true;
            _watchdog.Dispose();
        }
    }

    /// <summary>Whether what QEMU streamed may lack pages that the guest changed.</summary>
    private bool MustCompare => plan.Live == LiveMode.Stream && guest.DirtyLog != DirtyLog.Complete;

    /// <summary>How long comparing the guest's memory takes about, since what is left of the budget is for the rest.</summary>
    private TimeSpan Comparison => MustCompare ? TimeSpan.FromSeconds(guest.Layout.Blocks.Sum(block => block.UsedLength) / PageComparison.BytesPerSecond) : TimeSpan.Zero;

    private TimeSpan Allowed => Budget == Timeout.InfiniteTimeSpan ? StreamLimits.Longest : Budget - Comparison > Budget / 4 ? Budget - Comparison : Budget / 4;

    /// <summary>What of the budget the stream has: all of it, or as long as that may be reached within a few short passes more, a quarter.</summary>
    private TimeSpan ForFeed => _isEager ? Allowed / 4 : Allowed;

    /// <summary>QEMU may take a quarter of that for what it has still to send; what waits to be written by then takes another (<see cref="StreamFeed"/>),
    /// and the rest is for device state, fsync and publication.</summary>
    private StreamLimits Limits => new(ForFeed / 4, plan.Throttles ? StreamThrottle.AutoConverge : StreamThrottle.None, plan.Channels);

    private void Stopped()
    {
        lock (_gate)
        {
            _stoppedAt = time.GetTimestamp();
            _parts.Begin();
            Watch(TimeSpan.Zero);
        }
    }

    private void Watch(TimeSpan elapsed) => _watchdog.CancelAfter(
        Budget == Timeout.InfiniteTimeSpan ? Timeout.InfiniteTimeSpan : Budget > elapsed ? Budget - elapsed : TimeSpan.Zero);

    private ImageSession Session => image.Session ?? throw new InvalidOperationException("The image is not open; the coordinator's commands came out of order.");

    private async Task<DeviceSections> TakeGuestAsync(SemaphoreSlim gate, CancellationToken cancellationToken)
    {
        await gate.WaitAsync(cancellationToken);
        try
        {
            return plan.Live == LiveMode.Stream
                ? await FollowStreamAsync(cancellationToken)
                : await StopAndCompareAsync(cancellationToken);
        }
        finally
        {
            gate.Release();
        }
    }

    /// <summary>QEMU decides when the guest stops, by what it has still to send and how fast it is read.</summary>
    private async Task<DeviceSections> FollowStreamAsync(CancellationToken cancellationToken)
    {
        foreach (var engine in image.Engines)
            engine.BeginFeed();
        _feed = new StreamFeed(Session, image.Engines, image.Bandwidth, time) { Budget = ForFeed, IsHeld = IsHeld };
        _told = Limits;
        using var ended = new CancellationTokenSource();
        var settling = SettleForBudgetAsync(ended.Token);
        DeviceSections devices;
        try
        {
            devices = await guest.StreamAsync(_feed, _told, Session.Image.Identity, Stopped, cancellationToken);
        }
        finally
        {
            await ended.CancelAsync();
            await settling;
        }

        _parts.End("stream");
        foreach (var engine in image.Engines)
            engine.EndFeed();
        return devices;
    }

    /// <summary>Has QEMU stop the guest for what the budget allows, once it has not come to stop it for a quarter of that.</summary>
    private async Task SettleForBudgetAsync(CancellationToken ended)
    {
        using var timer = new PeriodicTimer(LookEvery, time);
        try
        {
            for (var looks = 0; looks < MostLooks; looks += await IsWithinAsync(Allowed / 4) ? 1 : 0)
                await timer.WaitForNextTickAsync(ended);
            _isEager = false;
            await SetBudgetAsync(Budget);
        }
        catch (OperationCanceledException)
        {
            // The stream has ended.
        }
        catch (GuestException)
        {
            // The coordinator says its budget again and again, and by that QEMU hears it.
        }
    }

    /// <summary>Where nothing can be told, of a QEMU that does not answer or pages that need no writing, there is no reason to wait for longer.</summary>
    private async Task<bool> IsWithinAsync(TimeSpan rest)
    {
        if (IsHeld || _feed is not { } feed)
            return false;
        try
        {
            return await guest.QueryStreamAsync(CancellationToken.None) is { } stream
                && (feed.Fastest == 0 || stream.Remaining / feed.Fastest <= rest.TotalSeconds);
        }
        catch (GuestException)
        {
            return true;
        }
    }

    private async Task<DeviceSections> StopAndCompareAsync(CancellationToken cancellationToken)
    {
        var identity = Session.Image.Identity;
        await guest.StopAsync(identity.Device, identity.Inode, cancellationToken);
        Stopped();
        await CompareAsync(cancellationToken);
        FinalEpoch.BeginWriting(Session, image.Engines);
        var devices = await guest.TakeDeviceStateAsync([.. image.Engines.Select(engine => engine.Memory)], cancellationToken);
        _parts.End("device-state");
        return devices;
    }

    private async Task CompareAsync(CancellationToken cancellationToken)
    {
        foreach (var engine in image.Engines)
            await StorageThread.RunAsync(() => image.SyncDirty(engine)).WaitAsync(cancellationToken);
        _parts.End("compare");
    }

    private void Publish(DeviceSections devices, CancellationToken called)
    {
        image.HandOverAll(called);
        guest.Publish(image, devices, () => _parts.End("publish"), called);
    }

    /// <summary>The guest first: the storage may be what takes so long.</summary>
    private async Task CallOffAsync(SemaphoreSlim gate, Task publication, CancellationToken cancellationToken)
    {
        await gate.WaitAsync(cancellationToken);
        try
        {
            if (await guest.RestoreRunStateAsync(cancellationToken) is { } remark)
                throw new GuestException(GuestFault.CommandFailed, remark);
        }
        finally
        {
            gate.Release();
        }

        await publication.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default).WaitAsync(cancellationToken);
        image.BeginAgain();
        throw new GuestException(GuestFault.Downtime,
            $"The guest would have stood still for longer than {Budget.TotalMilliseconds:0} ms, so it runs on. What was written is kept.");
    }
}

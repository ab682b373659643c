using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>
/// The guest that is saved, as its image writer controls it: examined, stopped once that is on record, given its run state back,
/// or treated as the operator asked once its image is published. One call runs at a time; the properties may be read at any moment.
/// </summary>
internal sealed class SourceGuest : IImageSource, IAsyncDisposable
{
    private readonly SavePlan _plan;
    private readonly StopRecords _stops;
    private readonly TimeProvider _time;
    private readonly IGuest _qemu;
    private readonly GuestLock _lock;
    private long _stoppedAt;
    private TimeSpan? _downtime;
    private volatile bool _isSnapshotUnderWay;

    // On record as stopped by us, and run on by QEMU.
    private bool _hasRunOn;

    private SourceGuest(SavePlan plan, StopRecords stops, TimeProvider time, IGuest qemu, GuestLock @lock)
    {
        _plan = plan;
        _stops = stops;
        _time = time;
        _qemu = qemu;
        _lock = @lock;
    }

    /// <summary>Its QEMU process.</summary>
    public ProcessIdentity Process => ProcessOf(_plan, _qemu);

    /// <summary>Its run state in QEMU's words, as last seen.</summary>
    public string State { get; private set; } = "";

    /// <summary>How it is built.</summary>
    public GuestDescription Description { get; private set; } = null!;

    /// <summary>Where its memory lies in the image.</summary>
    public ImageLayout Layout { get; private set; } = null!;

    /// <summary>Its RAMBlocks, in QEMU's order.</summary>
    public IReadOnlyList<RamBlock> RamBlocks { get; private set; } = [];

    /// <summary>What its dirty log is worth; known once it was examined.</summary>
    public DirtyLog DirtyLog { get; private set; }

    /// <summary>Whether it stands still because we stopped it.</summary>
    public bool IsHeldStopped => _stoppedAt != 0 && _downtime is null;

    /// <summary>Whether it, or a CPU of it, may have to wait until the storage takes pages.</summary>
    public bool WaitsForStorage => (IsHeldStopped && WasRunning) || _isSnapshotUnderWay;

    /// <summary>How long it has been, or was, stopped by us.</summary>
    public TimeSpan Downtime => _downtime ?? (_stoppedAt == 0 ? TimeSpan.Zero : _time.GetElapsedTime(_stoppedAt));

    /// <summary>Connects to a guest and takes its lock. It is not touched.</summary>
    /// <exception cref="GuestException">It cannot be reached.</exception>
    /// <exception cref="ImageException">Another migration holds it.</exception>
    public static async Task<SourceGuest> OpenAsync(
        SavePlan plan, StopRecords stops, string runtimeFolder, GuestConnector connect, TimeProvider time, CancellationToken cancellationToken)
    {
        var qemu = await ConnectAsync(plan, runtimeFolder, connect, time, cancellationToken);
        try
        {
            return new SourceGuest(plan, stops, time, qemu, GuestLock.Take(runtimeFolder, ProcessOf(plan, qemu), plan.Guest));
        }
        catch
        {
            await qemu.DisposeAsync();
            throw;
        }
    }

    /// <summary>Asks whether and how it can be saved, by questions alone.</summary>
    /// <exception cref="GuestException">It cannot.</exception>
    public async Task ExamineAsync(CancellationToken cancellationToken)
    {
        RamBlocks = await _qemu.EnsureSavableAsync(cancellationToken);
        State = (await _qemu.QueryRunStateAsync(cancellationToken)).Status;
        DirtyLog = await _qemu.QueryDirtyLogAsync(RamBlocks, cancellationToken);
        Description = await _qemu.DescribeAsync(RamBlocks, cancellationToken);
        Layout = ImageLayout.Create(
            await _qemu.QueryMachineAsync(cancellationToken), [.. RamBlocks.Select(block => new RamBlockSpec(block.Name, block.UsedLength))]);
    }

    /// <summary>Tells what the target of a move has to know. A guest whose image is published is only described: it stands still.</summary>
    /// <param name="isPublished">Whether its image is published.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="GuestException">It cannot be saved, or does not answer.</exception>
    public async Task<SourceFacts> TellAsync(bool isPublished, CancellationToken cancellationToken)
    {
        var blocks = isPublished ? await _qemu.QueryRamBlocksAsync(cancellationToken) : await _qemu.EnsureSavableAsync(cancellationToken);
        var description = await _qemu.DescribeAsync(blocks, cancellationToken);
        var facts = new SourceFacts(description, _qemu.ReadArguments(), _qemu.ReadWorkingFolder() ?? "", blocks.Sum(block => block.UsedLength));
        return isPublished ? facts : facts with
        {
            UsedBytes = blocks.Sum(UsedBytes),
            IsRunning = (await _qemu.QueryRunStateAsync(cancellationToken)).Running,
            DirtyLog = await _qemu.QueryDirtyLogAsync(blocks, cancellationToken),
        };
    }

    /// <summary>Opens the memory of a RAMBlock.</summary>
    /// <exception cref="GuestException">It cannot be read.</exception>
    public IGuestMemory OpenMemory(string ramBlock)
    {
        var memory = _qemu.OpenMemory(RamBlocks.First(block => block.Name == ramBlock));
        return _plan.Live == LiveMode.Snapshot ? new StagedMemory(memory) : memory;
    }

    /// <summary>Fails when its QEMU has ended; its memory may be there to read all the same.</summary>
    /// <exception cref="GuestException">It has.</exception>
    public void ThrowIfEnded() => _qemu.ThrowIfEnded();

    /// <summary>Stops it, once its run state and our intent are durable. Fails when a RAMBlock came, went or changed its size.</summary>
    /// <param name="device">Device number of the partial image.</param>
    /// <param name="inode">Inode of the partial image.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="GuestException">It does not obey, or its RAMBlocks changed.</exception>
    /// <exception cref="ImageException">The local disk does not take the record.</exception>
    public async Task StopAsync(ulong device, ulong inode, CancellationToken cancellationToken)
    {
        var before = await _qemu.QueryRunStateAsync(cancellationToken);
        var wasRunning = before.Running || (IsHeldStopped && WasRunning);
        var settings = await _qemu.ReadMigrationSettingsAsync(cancellationToken);
        BeginStop(wasRunning, device, inode, settings);
        _stoppedAt = _time.GetTimestamp();
        State = before.Running ? (await _qemu.StopAsync(cancellationToken)).Status : before.Status;
        await EnsureSameBlocksAsync(cancellationToken);
    }

    /// <summary>Lets QEMU stream its memory, until it stops the guest and gives its device state. Run state and intent are durable before.</summary>
    /// <param name="sink">Takes the pages.</param>
    /// <param name="limits">What QEMU is told.</param>
    /// <param name="image">Of the partial image.</param>
    /// <param name="stopped">Called when the guest stops.</param>
    /// <param name="cancellationToken">Cancels the stream: the guest runs on.</param>
    /// <exception cref="GuestException">QEMU does not give it, or a RAMBlock changed.</exception>
    /// <exception cref="ImageException">The local disk does not take the record.</exception>
    public async Task<DeviceSections> StreamAsync(
        IRamStreamSink sink, StreamLimits limits, FileIdentity image, Action stopped, CancellationToken cancellationToken)
    {
        if (limits.Throttle == StreamThrottle.AutoConverge && await _qemu.CanLimitDirtyRateAsync(cancellationToken))
            limits = limits with { Throttle = StreamThrottle.DirtyLimit };
        var devices = await ReceiveAsync(image, await _qemu.ReadMigrationSettingsAsync(limits, cancellationToken), StreamAsync, cancellationToken);
        await EnsureSameBlocksAsync(cancellationToken);
        return devices;

        async Task<DeviceSections> StreamAsync()
        {
            var sections = await _qemu.StreamAsync(sink, limits, Stopped, cancellationToken);
            if (_stoppedAt == 0)
                Stopped();
            return sections;
        }

        void Stopped()
        {
            _stoppedAt = _time.GetTimestamp();
            stopped();
        }
    }

    /// <summary>Has QEMU send its memory and devices as they are at one moment, for which it stops. Run state and intent are durable before.</summary>
    /// <param name="sink">Takes the pages.</param>
    /// <param name="image">Of the partial image.</param>
    /// <param name="stopped">Called when it stops.</param>
    /// <param name="continued">Called when it runs again.</param>
    /// <param name="cancellationToken">Gives the snapshot up.</param>
    /// <exception cref="GuestException">QEMU cannot, or failed.</exception>
    /// <exception cref="ImageException">The local disk does not take the record; or what the sink throws.</exception>
    public async Task<DeviceSections> SnapshotAsync(
        IRamStreamSink sink, FileIdentity image, Action stopped, Action continued, CancellationToken cancellationToken)
    {
        var settings = await _qemu.ReadSnapshotSettingsAsync(cancellationToken);
        _isSnapshotUnderWay = true;
        try
        {
            return await ReceiveAsync(image, settings, () => _qemu.SnapshotAsync(sink, Stopped, Continued, cancellationToken), cancellationToken);
        }
        finally
        {
            _isSnapshotUnderWay = false;
        }

        // Once: who stops it from then on has a reason of his own.
        void Stopped()
        {
            if (_stoppedAt != 0)
                return;
            _stoppedAt = _time.GetTimestamp();
            stopped();
        }

        void Continued()
        {
            if (_hasRunOn)
                return;
            _downtime = _time.GetElapsedTime(_stoppedAt);
            _hasRunOn = true;
            continued();
        }
    }

    /// <summary>How QEMU sees its stream; null when none is under way.</summary>
    /// <exception cref="GuestException">It does not answer.</exception>
    public Task<StreamProgress?> QueryStreamAsync(CancellationToken cancellationToken) => _qemu.QueryStreamAsync(cancellationToken);

    /// <summary>Changes what QEMU was told about the stream under way.</summary>
    /// <exception cref="GuestException">It does not answer.</exception>
    public Task SetStreamLimitsAsync(StreamLimits limits, CancellationToken cancellationToken) => _qemu.SetStreamLimitsAsync(limits, cancellationToken);

    /// <summary>Whether it ran before we stopped it.</summary>
    public bool WasRunning { get; private set; }

    /// <summary>Takes its device state.</summary>
    /// <param name="memories">The memory of all its RAMBlocks.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="GuestException">QEMU does not give it.</exception>
    public async Task<DeviceSections> TakeDeviceStateAsync(IEnumerable<IGuestMemory> memories, CancellationToken cancellationToken)
    {
        var devices = await _qemu.CaptureDeviceStateAsync(
            _qemu.ChooseDeviceStateMethod(memories), releasesDisks: _plan.After == AfterPublication.HandOver, cancellationToken);
        State = (await _qemu.QueryRunStateAsync(cancellationToken)).Status;
        return devices;
    }

    /// <summary>Gives it the run state back that it had before we stopped it, if we did.</summary>
    /// <returns>What the operator has to do; null when it was done.</returns>
    public async Task<string?> RestoreRunStateAsync(CancellationToken cancellationToken)
    {
        if (_hasRunOn)
        {
            _hasRunOn = false;
            _stops.Forget(_plan.Migration);
        }

        if (!IsHeldStopped)
            return null;
        string? remark = null;
        try
        {
            if (WasRunning)
                State = (await _qemu.ContAsync(cancellationToken)).Status;
            _stops.Forget(_plan.Migration);
        }
        catch (GuestException e) when (e.Fault == GuestFault.Exited)
        {
            State = "ended";
            remark = $"The guest's QEMU has ended: {e.Message}";
        }
        catch (GuestException e)
        {
            remark = $"The guest could not be continued: {e.Message} Continue it with QMP 'cont'.";
        }

        _downtime = _time.GetElapsedTime(_stoppedAt);
        return remark;
    }

    /// <summary>Publishes its image, with intent and outcome on record. Once it is published, whatever follows, the time for which we are
    /// answerable ends.</summary>
    /// <param name="image">The image, of which every block has handed its shadow bitmap over.</param>
    /// <param name="devices">Its device state.</param>
    /// <param name="published">Called once the image has its name.</param>
    /// <param name="calledOff">Ends it, up to that moment.</param>
    /// <exception cref="ImageException">The storage failed.</exception>
    /// <exception cref="OperationCanceledException">It was interrupted, ended or called off.</exception>
    public void Publish(ImageAttempt image, DeviceSections devices, Action? published, CancellationToken calledOff)
    {
        try
        {
            image.Publish(devices, () => _stops.MarkPublishing(_plan.Migration), calledOff);
        }
        finally
        {
            if (image.IsPublished)
            {
                published?.Invoke();
                _downtime ??= _time.GetElapsedTime(_stoppedAt);
                _stops.MarkPublished(_plan.Migration);
            }
        }
    }

    /// <summary>Does with it, now that its image is published, what the operator asked.</summary>
    /// <param name="imageId">The image's id.</param>
    /// <param name="wasRunning">Whether it ran before it was stopped: one that was paused before stays paused.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="ImageException">The claim to run it is another's, or the storage failed.</exception>
    /// <exception cref="GuestException">It does not obey.</exception>
    public async Task TreatAsync(Guid imageId, bool wasRunning, CancellationToken cancellationToken)
    {
        if (_plan.After == AfterPublication.Quit)
        {
            await EndAsync(cancellationToken);
            return;
        }

        if (_plan.After == AfterPublication.Run && wasRunning)
        {
            new ClaimRegister(_plan.ImagePath, _plan.Host, _time).Take(imageId, _plan.Guest, _plan.Migration, Process, ignoreHolder: false);
            if (!_hasRunOn && !(await _qemu.QueryRunStateAsync(cancellationToken)).Running)
            {
                await _qemu.ContAsync(cancellationToken);
                if (_stoppedAt != 0)
                    _downtime = _time.GetElapsedTime(_stoppedAt);
            }
        }

        State = (await _qemu.QueryRunStateAsync(cancellationToken)).Status;
    }

    /// <summary>Takes the claim and gives it the run state back that it had before it was stopped, now that no target runs it.</summary>
    /// <param name="imageId">The image's id.</param>
    /// <param name="wasRunning">Whether it ran before it was stopped.</param>
    /// <param name="isForced">Whether a person has decided so, whoever holds the claim.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="ImageException">The claim is another's, or the storage failed.</exception>
    /// <exception cref="GuestException">It does not obey.</exception>
    public async Task TakeBackAsync(Guid imageId, bool wasRunning, bool isForced, CancellationToken cancellationToken)
    {
        await StorageThread.RunAsync(() =>
            new ClaimRegister(_plan.ImagePath, _plan.Host, _time).Take(imageId, _plan.Guest, _plan.Migration, Process, isForced));
        if (wasRunning)
            await _qemu.ContAsync(cancellationToken);
        State = (await _qemu.QueryRunStateAsync(cancellationToken)).Status;
    }

    /// <summary>Ends its QEMU and waits until that is gone.</summary>
    /// <exception cref="GuestException">It does not end.</exception>
    public async Task EndAsync(CancellationToken cancellationToken)
    {
        await _qemu.QuitAsync(cancellationToken);
        State = "ended";

        // What a silo has launched leaves files of its memory.
        if (LaunchedQemu.Find(_plan.LaunchFolder) is { } launched && launched.Pid == Process.Pid && launched.StartTime == Process.StartTime)
            await launched.EndAsync(_time, cancellationToken);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _qemu.DisposeAsync();
        _lock.Dispose();
    }

    /// <summary>Receives what QEMU sends of it while its run state and our intent are on record; no longer where it was not stopped.</summary>
    private async Task<DeviceSections> ReceiveAsync(
        FileIdentity image, MigrationSettingsSnapshot settings, Func<Task<DeviceSections>> receive, CancellationToken cancellationToken)
    {
        BeginStop((await _qemu.QueryRunStateAsync(cancellationToken)).Running, image.Device, image.Inode, settings);
        _stoppedAt = 0;
        try
        {
            var devices = await receive();
            State = (await _qemu.QueryRunStateAsync(cancellationToken)).Status;
            return devices;
        }
        catch when (_stoppedAt == 0)
        {
            _stops.Forget(_plan.Migration);
            throw;
        }
    }

    private long UsedBytes(RamBlock block)
    {
        using var memory = _qemu.OpenMemory(block);
        return memory.DataRuns().Sum(run => run.Length);
    }

    private void BeginStop(bool wasRunning, ulong device, ulong inode, MigrationSettingsSnapshot settings)
    {
        _stops.Write(new StopRecord(_plan.Migration, _plan.Guest, _plan.QmpPath, Process, wasRunning, _plan.ImagePath, device, inode, IsPublishing: false, settings));
        WasRunning = wasRunning;
        _downtime = null;
        _hasRunOn = false;
    }

    private async Task EnsureSameBlocksAsync(CancellationToken cancellationToken)
    {
        if (!(await _qemu.QueryRamBlocksAsync(cancellationToken)).SequenceEqual(RamBlocks))
        {
            throw new GuestException(GuestFault.Mismatch,
                $"A RAMBlock of {_plan.Guest} came, went or changed its size during the migration. Save again once the guest has settled.");
        }
    }

    private static ProcessIdentity ProcessOf(SavePlan plan, IGuest qemu) => new(plan.Host, qemu.Pid, qemu.StartTime);

    /// <summary>Connects to the guest. A monitor that another migration holds does not greet: the guest's lock tells it from one that is no monitor.</summary>
    private static async Task<IGuest> ConnectAsync(
        SavePlan plan, string runtimeFolder, GuestConnector connect, TimeProvider time, CancellationToken cancellationToken)
    {
        try
        {
            return await connect(plan.Guest, plan.QmpPath, time, cancellationToken);
        }
        catch (GuestException e) when (e.Fault == GuestFault.NotQmp)
        {
            if (QemuGuest.FindServer(plan.QmpPath) is var (pid, startTime))
                GuestLock.Take(runtimeFolder, new ProcessIdentity(plan.Host, pid, startTime), plan.Guest).Dispose();
            throw;
        }
    }
}

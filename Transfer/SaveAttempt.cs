using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Transfer;

/// <summary>
/// The image writer: carries out, on the guest's host, one attempt to save a guest, whose image is an <see cref="ImageAttempt"/>. The coordinator decides the order; the steps
/// are <see cref="OpenAsync"/>, <see cref="StopGuestAsync"/>, then the blocks write their pages, <see cref="TakeDeviceStateAsync"/>,
/// the blocks hand their shadow bitmaps over, <see cref="PublishAsync"/>, <see cref="TreatGuestAsync"/>. Before publication
/// <see cref="SuspendAsync"/> interrupts it at any point, and <see cref="ResumeAsync"/> takes it up again, also in another process;
/// <see cref="AbortAsync"/> ends it. Both give the guest its run state back. One step runs at a time; the properties may be read at
/// any moment.
/// </summary>
/// <param name="plan">What to save and where.</param>
/// <param name="stops">This host's stop records.</param>
/// <param name="runtimeFolder">Where the locks lie that all silos of this machine share.</param>
/// <param name="connect">Connects to the guest.</param>
/// <param name="time">The clock.</param>
/// <param name="observer">Is told of every call to the storage; may be null.</param>
public sealed class SaveAttempt(
    SavePlan plan, StopRecords stops, string runtimeFolder, GuestConnector connect, TimeProvider time, IStorageObserver? observer = null)
    : IAsyncDisposable
{
    private const string WhyCompared =
        "The guest's memory is compared instead of streamed: without KVM, QEMU's dirty log would end a QEMU with a RAMBlock longer than its first.";

    /// <summary>How long an interruption waits for calls that do not return.</summary>
    private static readonly TimeSpan StuckLimit = TimeSpan.FromSeconds(5);

    private readonly ImagePaths _paths = new(plan.ImagePath);
    private readonly ImageAttempt _image = new(plan, time, observer: observer);
    private readonly List<string> _notes = [];
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _guestGate = new(1);
    private readonly SemaphoreSlim _openGate = new(1);
    private readonly SharedStorageProbe _probe = new(plan.ImagePath, plan.Migration, time);

    private SourceGuest? _guest;
    private DeviceSections? _devices;
    private Task _lastEpoch = Task.CompletedTask;
    private bool? _wasRunning;
    private volatile bool _isPublishedBefore;
    private volatile SwitchOver? _switchOver;

    /// <summary>Names of the guest's RAMBlocks, in the image's order; empty before the image is open.</summary>
    public IReadOnlyList<string> RamBlocks => _image.Session is not null && _guest is { } guest ? [.. guest.Layout.Blocks.Select(block => block.Name)] : [];

    /// <summary>Bytes written outside the RAMBlocks' pages.</summary>
    public long OtherBytes => _image.OtherBytes;

    /// <summary>The guest's run state in QEMU's words, as last seen.</summary>
    public string GuestState => _guest?.State ?? "";

    /// <summary>Whether the image stands under its final name.</summary>
    public bool IsPublished => _image.IsPublished || _isPublishedBefore;

    /// <summary>Whether the guest stands still because we stopped it, and its image is not published.</summary>
    public bool IsHeldStopped => _guest is { IsHeldStopped: true } && !IsPublished;

    /// <summary>Whether pages are written while the guest runs: as it was asked for, if the guest ran when the image was opened.</summary>
    public bool IsLive { get; private set; }

    /// <summary>Whether memory is compared, although the guest was to be streamed; known once the image is open.</summary>
    public bool IsCompared => plan.Live == LiveMode.Stream && _guest is { DirtyLog: DirtyLog.Fatal };

    /// <summary>Whether the guest ran before we stopped it; true before.</summary>
    public bool WasRunning => _wasRunning ??= stops.WasRunning(plan.Migration);

    /// <summary>What the target of a move has to know; null before <see cref="ExamineAsync"/>.</summary>
    public SourceFacts? Facts { get; private set; }

    /// <summary>How long the guest has been, or was, stopped by us.</summary>
    public TimeSpan Downtime => _guest?.Downtime ?? TimeSpan.Zero;

    /// <summary>What the guest of a live save stood still for, one part after the other, until the image was published.</summary>
    public IReadOnlyList<(string Name, TimeSpan Time)> DowntimeParts { get; private set; } = [];

    /// <summary>Fsync epochs that closed well.</summary>
    public long Epochs => _image.Session?.Epochs.Count ?? 0;

    /// <summary>Bytes of the journal.</summary>
    public long JournalBytes => _image.JournalBytes;

    /// <summary>The number of the token that the journal obeyed when it was taken up; 0 before.</summary>
    public long TokenInForce => _image.TokenInForce;

    /// <summary>Calls to the storage that have not returned, stuck ones included.</summary>
    public int CallsUnderWay => _image.Session?.UnderWay ?? 0;

    /// <summary>How long such calls have been under way while none came back; zero when none is.</summary>
    public TimeSpan Silence => _image.Session?.Silence ?? TimeSpan.Zero;

    /// <summary>What is wrong with the storage now; null when nothing is. Calls that do not return for too long count as a fault.</summary>
    public StorageFault? Fault
    {
        get
        {
            if (_image.Session is not { } session)
                return null;
            var limit = _guest is { WaitsForStorage: true } ? plan.Options.MaxDowntime : plan.Options.StallTimeout;
            return session.Silence is var silence && silence > limit
                ? new StorageFault(ImageFault.Stalled, ImageAttempt.Stalled(session.UnderWay, silence).Message, time.GetUtcNow() - silence, 0, null)
                : session.Fault;
        }
    }

    /// <summary>What the operator should know beside the outcome.</summary>
    public IReadOnlyList<string> Notes
    {
        get
        {
            lock (_gate)
                return [.. _notes, .. _image.Notes];
        }
    }

    /// <summary>Asks the guest what the target of a move, or whoever plans, has to know, and leaves a probe for the target beside the image. Repeats ask anew.</summary>
    /// <param name="probe">What stands in the probe.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="GuestException">The guest cannot be reached or saved.</exception>
    /// <exception cref="ImageException">The storage refuses.</exception>
    public async Task ExamineAsync(Guid probe, CancellationToken cancellationToken)
    {
        if (_image.Session is null && stops.Find(plan.Migration) is null)
            EnsureNameIsFree();
        await StorageThread.RunAsync(() => _probe.Leave(probe));
        var guest = await OpenGuestAsync(cancellationToken);
        Facts = await guest.TellAsync(IsPublished || stops.Find(plan.Migration) is { IsPublished: true }, cancellationToken);
    }

    /// <summary>Examines guest and storage, takes the locks, creates the partial image with its journal and writes its headers. The
    /// guest runs.</summary>
    /// <param name="token">Of the coordinator in charge.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="GuestException">The guest cannot be reached or saved.</exception>
    /// <exception cref="ImageException">The storage refuses.</exception>
    public async Task OpenAsync(JournalToken token, CancellationToken cancellationToken)
    {
        var guest = await ExamineGuestAsync(cancellationToken);
        await StorageThread.RunAsync(() =>
        {
            _probe.Remove();
            _image.Create(guest, token);
        });
        BeginLive(guest);
    }

    /// <summary>
    /// Takes an interrupted attempt up again: from what this process knows, or else from the journal, or else from zero. The guest
    /// runs; what it changed meanwhile is found by <see cref="SyncDirtyAsync"/>.
    /// </summary>
    /// <param name="token">Of the coordinator in charge.</param>
    /// <param name="hasBegun">Whether the image was open before, so that what was written of it must be there.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="GuestException">The guest cannot be reached or saved, or has ended meanwhile.</exception>
    /// <exception cref="ImageException">The storage refuses, or the partial image is another's by now.</exception>
    public async Task ResumeAsync(JournalToken token, bool hasBegun, CancellationToken cancellationToken)
    {
        var guest = await ExamineGuestAsync(cancellationToken);
        await _lastEpoch;
        _devices = null;
        await StorageThread.RunAsync(() => _image.Resume(guest, token, hasBegun));
        BeginLive(guest);
    }

    /// <summary>Makes the token of a new coordinator durable, before anything that it asks is done.</summary>
    /// <exception cref="ImageException">Another is in charge, or the storage failed.</exception>
    public void Obey(JournalToken token) => _image.Obey(token);

    /// <summary>The engine of a RAMBlock, or null before the image is open: every page dirty, unless the journal knew better.</summary>
    public BlockEngine? FindBlock(string name) => _image.Engines.FirstOrDefault(engine => engine.Layout.Name == name);

    /// <summary>Finds the pages of a block that the guest changed since they were written, and lets them be written again.</summary>
    /// <exception cref="GuestException">Its memory cannot be read.</exception>
    /// <exception cref="ImageException">The journal failed.</exception>
    public Task SyncDirtyAsync(BlockEngine block) => StorageThread.RunAsync(() => _image.SyncDirty(block));

    /// <summary>Lets the writers work on a block's dirty pages. The same iteration again changes nothing.</summary>
    /// <exception cref="GuestException">The guest's QEMU has ended; its memory may be there to read all the same.</exception>
    public void Iterate(BlockEngine block, int iteration)
    {
        ArgumentNullException.ThrowIfNull(block);
        Opened(_guest).ThrowIfEnded();
        _image.Iterate(block, iteration);
    }

    /// <summary>Stops the guest, once its run state and our intent are durable. Fails when a RAMBlock came, went or changed its size.</summary>
    /// <exception cref="GuestException">The guest does not obey, or its RAMBlocks changed.</exception>
    /// <exception cref="ImageException">The local disk does not take the record.</exception>
    public async Task StopGuestAsync(CancellationToken cancellationToken)
    {
        var identity = Opened(_image.Session).Image.Identity;
        await _guestGate.WaitAsync(cancellationToken);
        try
        {
            await Opened(_guest).StopAsync(identity.Device, identity.Inode, cancellationToken);
            _wasRunning = Opened(_guest).WasRunning;
        }
        finally
        {
            _guestGate.Release();
        }
    }

    /// <summary>
    /// The end of a live save: last pages, device state, publication, and the guest treated where it is to run on; of a snapshot, all its pages.
    /// One operation of this host; called off, with the guest running on, when the guest would stand still for too long.
    /// </summary>
    /// <param name="budget">How long it may; <see cref="Timeout.InfiniteTimeSpan"/> for as long as it takes.</param>
    /// <param name="isHeld">Whether the stop of a streamed guest is held back until <see cref="Hold"/> says otherwise.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="GuestException">Downtime: it was called off. Else the guest does not obey, or its RAMBlocks changed.</exception>
    /// <exception cref="ImageException">The storage failed.</exception>
    public async Task SwitchOverAsync(TimeSpan budget, bool isHeld, CancellationToken cancellationToken)
    {
        var guest = Opened(_guest);
        if (!IsPublished && plan.Live == LiveMode.Snapshot)
        {
            var snapshot = new SnapshotSave(_image, guest, plan, time);
            try
            {
                await snapshot.RunAsync(_guestGate, cancellationToken);
            }
            finally
            {
                DowntimeParts = snapshot.Parts;
            }
        }
        else if (!IsPublished)
        {
            using var switchOver = new SwitchOver(_image, guest, plan with { Live = Live }, time) { Budget = budget, IsHeld = isHeld };
            _switchOver = switchOver;
            try
            {
                await switchOver.RunAsync(_guestGate, cancellationToken);
            }
            finally
            {
                _switchOver = null;
                DowntimeParts = switchOver.Parts;
            }
        }

        _wasRunning = guest.WasRunning;
        if (plan.After == AfterPublication.Run)
            await guest.TreatAsync(_image.Id, guest.WasRunning, cancellationToken);
    }

    /// <summary>Changes the budget of the switch-over under way, if there is one.</summary>
    /// <exception cref="GuestException">QEMU did not take it.</exception>
    public Task SetBudgetAsync(TimeSpan budget) => _switchOver is { } switchOver ? switchOver.SetBudgetAsync(budget) : Task.CompletedTask;

    /// <summary>Changes how many bytes of pages are written per second at most; 0 for no limit. It holds after an interruption, too.</summary>
    public void SetBandwidth(long limit) => _image.SetBandwidth(limit);

    /// <summary>Holds the stop of a streamed guest back, or no longer.</summary>
    public void Hold(bool isHeld) => _switchOver?.Hold(isHeld);

    /// <summary>How a live save by stream goes on; null when nothing is known of it, or the guest stands still.</summary>
    public Task<LiveSample?> SampleAsync() => _switchOver is { } switchOver ? switchOver.SampleAsync() : Task.FromResult<LiveSample?>(null);

    /// <summary>Takes the device state of the stopped guest, and closes the last fsync epoch over every page.</summary>
    /// <exception cref="GuestException">QEMU does not give it.</exception>
    /// <exception cref="ImageException">fsync failed: every page since the last good one is dirty again.</exception>
    public async Task TakeDeviceStateAsync(CancellationToken cancellationToken)
    {
        var guest = Opened(_guest);
        await _guestGate.WaitAsync(cancellationToken);
        try
        {
            _devices = await guest.TakeDeviceStateAsync([.. _image.Engines.Select(engine => engine.Memory)], cancellationToken);
        }
        finally
        {
            _guestGate.Release();
        }

        await new FinalEpoch(Opened(_image.Session), _image.Engines, plan.Options.MaxDowntime, time).CloseAsync(cancellationToken);
    }

    /// <summary>Writes a block's shadow bitmap to its place. Repeats change nothing.</summary>
    /// <exception cref="ImageException">The write failed.</exception>
    public Task HandOverAsync(BlockEngine block)
    {
        ArgumentNullException.ThrowIfNull(block);
        return StorageThread.RunAsync(() => _image.HandOver(block));
    }

    /// <summary>Writes EOS and tail after every bitmap is durable, checks the image and publishes it.</summary>
    /// <exception cref="ImageException">The storage failed; the image is not published.</exception>
    public Task PublishAsync() => IsPublished
        ? Task.CompletedTask
        : StorageThread.RunAsync(() => Opened(_guest).Publish(_image, Opened(_devices), published: null, CancellationToken.None));

    /// <summary>Does with the guest of the published image what was asked; also in a process that did not publish it.</summary>
    /// <exception cref="GuestException">The guest did not do what was asked.</exception>
    /// <exception cref="ImageException">The claim to run it could not be taken.</exception>
    public async Task TreatGuestAsync(CancellationToken cancellationToken)
    {
        var guest = await OpenGuestAsync(cancellationToken);
        await guest.TreatAsync(await PublishedIdAsync(), stops.WasRunning(plan.Migration), cancellationToken);
    }

    /// <summary>Takes the claim and gives the guest its run state back, now that the target of its move does not run it; also in a
    /// process that did not publish the image.</summary>
    /// <param name="isForced">Whether a person has decided so, whoever holds the claim.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="ImageException">The claim is another's, or the storage failed.</exception>
    /// <exception cref="GuestException">Exited, or the guest does not obey.</exception>
    public async Task TakeBackAsync(bool isForced, CancellationToken cancellationToken)
    {
        if (HasSourceEnded())
            throw new GuestException(GuestFault.Exited, $"The QEMU of guest {plan.Guest} on {plan.Host} has ended.");
        SourceGuest guest;
        try
        {
            guest = await OpenGuestAsync(cancellationToken);
        }
        catch (GuestException e) when (e.Fault == GuestFault.Unreachable && stops.Find(plan.Migration) is null)
        {
            // What its coordinator has asked for since was lost with grain storage's last writes.
            throw new GuestException(GuestFault.Exited, $"The QEMU of guest {plan.Guest} on {plan.Host} is gone, and this host has brought the migration to its end before.", e);
        }

        await guest.TakeBackAsync(await PublishedIdAsync(), stops.WasRunning(plan.Migration), isForced, cancellationToken);
        await RemoveProbeAsync();
    }

    /// <summary>Ends the guest's QEMU, now that it runs elsewhere; also in a process that did not publish the image.</summary>
    /// <exception cref="GuestException">It does not end.</exception>
    public async Task EndSourceAsync(CancellationToken cancellationToken)
    {
        if (!HasSourceEnded())
            await (await OpenGuestAsync(cancellationToken)).EndAsync(cancellationToken);
        await RemoveProbeAsync();
    }

    /// <summary>A target that had to begin anew once the image was published found another one.</summary>
    private async Task RemoveProbeAsync()
    {
        try
        {
            await StorageThread.RunAsync(_probe.Remove).WaitAsync(StuckLimit, time, CancellationToken.None);
        }
        catch (Exception e) when (e is TimeoutException or IOException or UnauthorizedAccessException)
        {
            // The guest is where it belongs, and that counts.
            Note($"{_probe.Path} is left, and is of no use to anybody: {e.Message}");
        }
    }

    /// <summary>Removes the image of a move that is over, with its side files.</summary>
    /// <exception cref="ImageException">The storage failed.</exception>
    public Task RemoveImageAsync() => StorageThread.RunAsync(() =>
    {
        if (stops.Find(plan.Migration) is { } record)
            ImageRemoval.Remove(plan.ImagePath, record.Inode);
    });

    /// <summary>
    /// Interrupts an unpublished attempt: no further call to the storage begins, the guest gets its run state back, and what is
    /// written is made durable if the storage still does that. Everything is kept.
    /// </summary>
    /// <param name="reason">Why, for the blocks.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task SuspendAsync(Exception reason, CancellationToken cancellationToken)
    {
        if (await SettleEarlierAsync(cancellationToken))
            return;
        var isFirst = _image.Session is { Interrupted.IsCancellationRequested: false };
        if (!await AwaitPublicationAsync(_image.Refuse))
            return;
        if (await InterruptAsync(reason, cancellationToken) > 0 || !isFirst)
            return;
        _lastEpoch = StorageThread.RunAsync(_image.SaveLastEpoch);
        await Task.WhenAny(_lastEpoch, Task.Delay(StuckLimit, time, cancellationToken));
    }

    /// <summary>Whether the storage takes writes again, and none that was made before is still under way.</summary>
    /// <exception cref="ImageException">It does not.</exception>
    public Task ProbeAsync() => StorageThread.RunAsync(() =>
    {
        if (_image.Session is { UnderWay: > 0 } session)
            throw ImageAttempt.Stalled(session.UnderWay, session.Silence);

        // A publication that failed may have left it under its final name; the resumption takes that back.
        if (!File.Exists(_paths.Partial) && !File.Exists(_paths.Image))
            throw ImageFile.Gone(_paths.Partial);
        StorageProbe.Run(_paths.Partial + ".probe", _image.Engines.Sum(engine => engine.Snapshot() is var now ? (now.Dirty + now.InFlight) * Page.Size : 0));
    });

    /// <summary>Ends an unpublished attempt: the writers stop, the guest gets its run state back, the partial image and its journal
    /// are removed. What could not be done is among the notes. A published image is left alone.</summary>
    public async Task AbortAsync(CancellationToken cancellationToken)
    {
        if (await SettleEarlierAsync(cancellationToken) || !await AwaitPublicationAsync(_image.Abort))
            return;
        var stuck = await InterruptAsync(new OperationCanceledException("The migration was ended."), cancellationToken);
        if (stuck > 0)
        {
            Note($"{_paths.Partial} is kept, because {stuck} call(s) to it have not returned. Remove it once the storage answers: 'distmigrate gc'.");
            return;
        }

        try
        {
            await StorageThread.RunAsync(() =>
            {
                _probe.Remove();
                _image.RemoveUnfinished();
            }).WaitAsync(StuckLimit, time, CancellationToken.None);
        }
        catch (TimeoutException)
        {
            Note($"{_paths.Partial} is kept, because its removal has not returned. Remove it if it is still there once the storage answers: 'distmigrate gc'.");
        }
        catch (Exception e) when (e is ImageException or IOException or UnauthorizedAccessException)
        {
            Note(NotRemoved(_paths, e));
        }
    }

    /// <summary>Removes what the attempt of a silo that has ended left beside an image that it did not publish.</summary>
    /// <param name="imagePath">The image's final path.</param>
    /// <param name="migration">The migration.</param>
    /// <returns>What is kept and why, for the operator; null when nothing is.</returns>
    public static string? RemoveLeftovers(string imagePath, string migration)
    {
        var paths = new ImagePaths(imagePath);
        try
        {
            new SharedStorageProbe(imagePath, migration, TimeProvider.System).Remove();
            UnfinishedImage.Remove(paths, migration, HostFileSystem.Instance);
            return null;
        }
        catch (ImageException e) when (e.Fault == ImageFault.Busy)
        {
            // It is another migration's by now.
            return null;
        }
        catch (Exception e) when (e is ImageException or IOException or UnauthorizedAccessException)
        {
            return NotRemoved(paths, e);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var engine in _image.Engines)
            engine.Dispose();

        // The guest is free for another migration, also while storage hangs.
        if (_guest is not null)
            await _guest.DisposeAsync();
        await Task.WhenAny(StorageThread.RunAsync(_image.Dispose), Task.Delay(StuckLimit, time));
        _guestGate.Dispose();
        _openGate.Dispose();
    }

    private static string NotRemoved(ImagePaths paths, Exception e) =>
        $"{paths.Partial} is kept, because it could not be removed: {e.Message.TrimEnd('.')}. Remove it once the storage answers: 'distmigrate gc'.";

    private static T Opened<T>(T? part) where T : class =>
        part ?? throw new InvalidOperationException("The image is not open; the coordinator's commands came out of order.");

    private void Note(string note)
    {
        lock (_gate)
        {
            if (!_notes.Contains(note))
                _notes.Add(note);
        }
    }

    private void EnsureNameIsFree()
    {
        if (!plan.Overwrite && File.Exists(_paths.Image))
            throw new ImageException(ImageFault.Exists, $"{_paths.Image} exists already. Choose another name, or use --force to replace it.");
        _paths.EnsureUsable();
    }

    private async Task<SourceGuest> ExamineGuestAsync(CancellationToken cancellationToken)
    {
        if (_image.Session is null)
        {
            if (await SettleEarlierAsync(cancellationToken))
                throw new ImageException(ImageFault.Published, $"{_paths.Image} was published by an earlier silo of this host.");
            EnsureNameIsFree();
        }

        var guest = await OpenGuestAsync(cancellationToken);
        await guest.ExamineAsync(cancellationToken);
        return guest;
    }

    /// <summary>What a silo that has ended left of this migration is settled first, by whichever coordinator this attempt was set up: its guest may stand
    /// still, and only for a published image that is right.</summary>
    /// <returns>Whether that silo published the image.</returns>
    private async Task<bool> SettleEarlierAsync(CancellationToken cancellationToken)
    {
        if (_image.Session is null && !_isPublishedBefore)
            _isPublishedBefore = await stops.SettleAsync(plan.Migration, cancellationToken);
        return _isPublishedBefore;
    }

    private LiveMode Live => IsCompared ? LiveMode.Compare : plan.Live;

    /// <summary>The writers are to take no page of which the stream has not told.</summary>
    private void BeginLive(SourceGuest guest)
    {
        IsLive = plan.Live != LiveMode.None && guest.State == "running";
        if (IsLive && IsCompared)
            Note(WhyCompared);
        var stage = IsLive && plan.Live == LiveMode.Snapshot ? new SnapshotStage() : null;
        foreach (var engine in _image.Engines)
        {
            if (IsLive && Live == LiveMode.Stream)
            {
                engine.BeginFeed();
                continue;
            }

            // What an earlier snapshot told says nothing of the next one.
            engine.EndFeed();
            (engine.Memory as StagedMemory)?.Begin(stage);
            if (stage is not null)
                engine.BeginFeed(isSnapshot: true);
        }
    }

    private async Task<SourceGuest> OpenGuestAsync(CancellationToken cancellationToken)
    {
        await _openGate.WaitAsync(cancellationToken);
        try
        {
            return _guest ??= await SourceGuest.OpenAsync(plan, stops, runtimeFolder, connect, time, cancellationToken);
        }
        finally
        {
            _openGate.Release();
        }
    }

    /// <summary>Whether the QEMU that we stopped is gone; another one may have its socket by now.</summary>
    private bool HasSourceEnded() => stops.Find(plan.Migration) is { } record && !record.Process.IsAlive();

    /// <summary>Sees to it that the names of the published image are durable, and tells its id.</summary>
    private async Task<Guid> PublishedIdAsync()
    {
        await StorageThread.RunAsync(_image.Settle);
        return _image.IsPublished ? _image.Id : ImageManifest.Read(plan.ImagePath)?.ImageId
            ?? throw new ImageException(ImageFault.NotFound, $"{_paths.Manifest} is gone, so nobody can tell whose image {plan.ImagePath} is.");
    }

    /// <summary>Waits for a publication under way, however long it hangs: before it returns, nobody can tell whether the guest may go on.</summary>
    private async Task<bool> AwaitPublicationAsync(Func<bool> isUnpublished)
    {
        var decision = Task.Factory.StartNew(isUnpublished, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        if (await Task.WhenAny(decision, Task.Delay(StuckLimit, time)) != decision)
        {
            Note($"The rename of {_paths.Partial} has not returned, so nobody can tell yet whether the image is published. "
                + "The guest stays stopped until the storage answers.");
        }

        return await decision;
    }

    /// <summary>The guest first: storage may hang.</summary>
    /// <returns>Threads that are stuck in a call to the storage.</returns>
    private async Task<int> InterruptAsync(Exception reason, CancellationToken cancellationToken)
    {
        foreach (var engine in _image.Engines)
            engine.Interrupt(reason);
        if (_guest is { } guest)
        {
            await _guestGate.WaitAsync(cancellationToken);
            try
            {
                if (await guest.RestoreRunStateAsync(cancellationToken) is { } remark)
                    Note(remark);
            }
            finally
            {
                _guestGate.Release();
            }
        }

        return _image.Session is { } session ? await StorageThread.RunAsync(() => session.Interrupt(StuckLimit)) : 0;
    }
}

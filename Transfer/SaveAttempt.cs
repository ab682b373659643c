using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>
/// The image writer: carries out, on the guest's host, one attempt to save a guest. The coordinator decides the order; the steps
/// are <see cref="OpenAsync"/>, <see cref="StopGuestAsync"/>, then the blocks write their pages, <see cref="TakeDeviceStateAsync"/>,
/// the blocks hand their shadow bitmaps over, <see cref="PublishAsync"/>. <see cref="AbortAsync"/> ends it at any point before
/// publication and gives the guest its run state back. One step runs at a time; the properties may be read at any moment.
/// </summary>
/// <param name="plan">What to save and where.</param>
/// <param name="stops">This host's stop records.</param>
/// <param name="runtimeFolder">Where the locks lie that all silos of this machine share.</param>
/// <param name="time">The clock.</param>
public sealed class SaveAttempt(SavePlan plan, StopRecords stops, string runtimeFolder, TimeProvider time) : IAsyncDisposable
{
    /// <summary>How long an abort waits for writes that do not return.</summary>
    private static readonly TimeSpan StuckLimit = TimeSpan.FromSeconds(5);

    private readonly ImagePaths _paths = new(plan.ImagePath);
    private readonly Guid _imageId = Guid.NewGuid();
    private readonly Dictionary<string, BlockEngine> _engines = [];
    private readonly Dictionary<string, string> _digests = [];
    private readonly List<string> _notes = [];
    private readonly Lock _gate = new();
    private readonly Lock _handOver = new();

    // Whether the attempt ends published or aborted is decided once, under this lock.
    private readonly object _outcome = new();
    private bool _aborted;

    private QemuGuest? _guest;
    private GuestLock? _lock;
    private ImageFile? _image;
    private WriterCrew? _crew;
    private ImageLayout? _layout;
    private GuestDescription? _description;
    private IReadOnlyList<RamBlock> _ramBlocks = [];
    private StopRecord? _stopRecord;
    private DeviceSections? _devices;
    private long _stoppedAt;
    private TimeSpan? _downtime;
    private long _otherBytes;

    /// <summary>Names of the guest's RAMBlocks, in the image's order; empty before the image is open.</summary>
    public IReadOnlyList<string> RamBlocks => _layout is { } layout ? [.. layout.Blocks.Select(block => block.Name)] : [];

    /// <summary>Bytes written outside the RAMBlocks' pages.</summary>
    public long OtherBytes => Interlocked.Read(ref _otherBytes);

    /// <summary>The guest's run state in QEMU's words, as last seen.</summary>
    public string GuestState { get; private set; } = "";

    /// <summary>Whether the image stands under its final name.</summary>
    public bool IsPublished { get; private set; }

    /// <summary>How long the guest has been, or was, stopped by us.</summary>
    public TimeSpan Downtime => _downtime ?? (_stoppedAt == 0 ? TimeSpan.Zero : time.GetElapsedTime(_stoppedAt));

    /// <summary>What the operator should know beside the outcome.</summary>
    public IReadOnlyList<string> Notes
    {
        get
        {
            lock (_gate)
                return [.. _notes];
        }
    }

    /// <summary>Examines guest and storage, takes the locks, creates the partial image and writes its headers. The guest runs.</summary>
    /// <exception cref="GuestException">The guest cannot be reached or saved.</exception>
    /// <exception cref="ImageException">The storage refuses.</exception>
    public async Task OpenAsync(CancellationToken cancellationToken)
    {
        if (File.Exists(_paths.Image) && !plan.Overwrite)
            throw new ImageException(ImageFault.Exists, $"{_paths.Image} exists already. Choose another name, or use --force to replace it.");
        _guest = await ConnectAsync(cancellationToken);
        _lock = GuestLock.Take(runtimeFolder, ProcessOf(_guest), plan.Guest);
        await _guest.EnsureSavableAsync(cancellationToken);
        GuestState = (await _guest.QueryRunStateAsync(cancellationToken)).Status;
        _ramBlocks = await _guest.QueryRamBlocksAsync(cancellationToken);
        _description = await _guest.DescribeAsync(cancellationToken);
        _layout = ImageLayout.Create(
            await _guest.QueryMachineAsync(cancellationToken),
            [.. _ramBlocks.Select(block => new RamBlockSpec(block.Name, block.UsedLength))]);
        await StorageThread.RunAsync(() =>
        {
            Adopt(ImageFile.Create(_paths.Partial, _layout.TailOffset, plan.Options.DirectIo));
            foreach (var piece in _layout.Headers())
                WriteMeta(piece.Bytes.Span, piece.Offset);
        });
        _crew = new WriterCrew(Opened(_image), plan.Options, plan.Migration);
    }

    /// <summary>Takes a RAMBlock in: every page dirty. Repeats give the same engine.</summary>
    /// <exception cref="GuestException">Its memory cannot be read.</exception>
    public BlockEngine SetupBlock(string name)
    {
        lock (_gate)
        {
            if (_engines.TryGetValue(name, out var engine))
                return engine;
            var layout = Opened(_layout)[name];
            engine = new BlockEngine(layout, Opened(_guest).OpenMemory(_ramBlocks.First(block => block.Name == name)));
            _engines.Add(name, engine);
            Opened(_crew).Add(engine);
            return engine;
        }
    }

    /// <summary>The engine of a RAMBlock that was taken in, or null.</summary>
    public BlockEngine? FindBlock(string name)
    {
        lock (_gate)
            return _engines.GetValueOrDefault(name);
    }

    /// <summary>Lets the writers work on a block's dirty pages. The same iteration again changes nothing.</summary>
    /// <exception cref="GuestException">The guest's QEMU has ended; its memory may be there to read all the same.</exception>
    public void Iterate(BlockEngine block, int iteration)
    {
        ArgumentNullException.ThrowIfNull(block);
        Opened(_guest).Qmp.ThrowIfEnded();
        block.BeginIteration(iteration);
        Opened(_crew).Wake();
    }

    /// <summary>Stops the guest, once its run state and our intent are durable. Fails when a RAMBlock came, went or changed its size.</summary>
    /// <exception cref="GuestException">The guest does not obey, or its RAMBlocks changed.</exception>
    /// <exception cref="ImageException">The local disk does not take the record.</exception>
    public async Task StopGuestAsync(CancellationToken cancellationToken)
    {
        var guest = Opened(_guest);
        var before = await guest.QueryRunStateAsync(cancellationToken);
        var identity = Opened(_image).Identity;
        var record = new StopRecord(
            plan.Migration, plan.Guest, plan.QmpPath, ProcessOf(guest), before.Running, plan.ImagePath, identity.Device, identity.Inode);
        stops.Write(record);
        _stopRecord = record;
        _stoppedAt = time.GetTimestamp();
        if (before.Running)
            await guest.StopAsync(cancellationToken);
        GuestState = (await guest.QueryRunStateAsync(cancellationToken)).Status;
        var now = await guest.QueryRamBlocksAsync(cancellationToken);
        if (!now.SequenceEqual(_ramBlocks))
        {
            throw new GuestException(GuestFault.Mismatch,
                $"A RAMBlock of {plan.Guest} came, went or changed its size while the migration was set up. Save again once the guest has settled.");
        }
    }

    /// <summary>Takes the device state of the stopped guest, and closes the last fsync epoch over every page.</summary>
    /// <exception cref="GuestException">QEMU does not give it.</exception>
    /// <exception cref="ImageException">fsync failed: every page since the last good one is dirty again.</exception>
    public async Task TakeDeviceStateAsync(CancellationToken cancellationToken)
    {
        var guest = Opened(_guest);
        var method = guest.ChooseDeviceStateMethod([.. Engines().Select(engine => engine.Memory)]);
        _devices = await guest.CaptureDeviceStateAsync(method, cancellationToken);
        GuestState = (await guest.QueryRunStateAsync(cancellationToken)).Status;
        await StorageThread.RunAsync(CloseEpoch);
    }

    /// <summary>Writes a block's shadow bitmap to its place and releases the block's bitmaps. Repeats change nothing.</summary>
    /// <exception cref="ImageException">The write failed.</exception>
    public Task HandOverAsync(BlockEngine block)
    {
        ArgumentNullException.ThrowIfNull(block);
        return StorageThread.RunAsync(() =>
        {
            lock (_handOver)
            {
                if (_digests.ContainsKey(block.Layout.Name))
                    return;
                foreach (var run in block.UnusedReservations())
                    Opened(_image).Release(block.Layout.PagesOffset + run.Offset, run.Length);
                var (bitmap, digest) = block.HandOver();
                WriteMeta(bitmap, block.Layout.BitmapOffset);
                _digests.Add(block.Layout.Name, digest.ToString("x32", null));
            }
        });
    }

    /// <summary>Writes EOS and tail after every bitmap is durable, checks the image, publishes it, and does with the guest what was asked.</summary>
    /// <exception cref="ImageException">The storage failed; the image is not published, unless <see cref="IsPublished"/> says so.</exception>
    /// <exception cref="GuestException">The image is published, but the guest did not do what was asked.</exception>
    public async Task PublishAsync(CancellationToken cancellationToken)
    {
        if (!IsPublished)
            await StorageThread.RunAsync(Publish);
        var guest = Opened(_guest);
        switch (plan.After)
        {
            // A guest that was paused before stays paused.
            case AfterPublication.Run when _stopRecord is { WasRunning: true }:
                new ClaimRegister(plan.ImagePath, plan.Host, time)
                    .Take(_imageId, plan.Guest, plan.Migration, ProcessOf(guest), ignoreHolder: false);
                await guest.ContAsync(cancellationToken);
                _downtime = time.GetElapsedTime(_stoppedAt);
                GuestState = (await guest.QueryRunStateAsync(cancellationToken)).Status;
                break;
            case AfterPublication.Quit:
                await guest.QuitAsync(cancellationToken);
                GuestState = "ended";
                break;
            default:
                GuestState = (await guest.QueryRunStateAsync(cancellationToken)).Status;
                break;
        }
    }

    /// <summary>Ends an unpublished attempt: the writers stop, the guest gets its run state back, the partial image is removed.
    /// What could not be done is among the notes. A published image is left alone.</summary>
    public async Task AbortAsync(CancellationToken cancellationToken)
    {
        if (!await AbortUnlessPublishedAsync())
            return;
        foreach (var engine in Engines())
            engine.Cancel();

        // The guest first: storage may hang.
        if (_stopRecord is { WasRunning: true } && _guest is { } guest)
            await ContinueAsync(guest, cancellationToken);
        var stuck = _crew?.Stop(StuckLimit) ?? 0;
        if (stuck > 0)
        {
            Note($"{_paths.Partial} is kept, because {stuck} write(s) to it have not returned. Remove it once the storage answers.");
            return;
        }

        try
        {
            await StorageThread.RunAsync(() =>
            {
                _image?.Discard();
                File.Delete(_paths.PartialManifest);
            }).WaitAsync(StuckLimit, time, CancellationToken.None);
        }
        catch (TimeoutException)
        {
            Note($"{_paths.Partial} is kept, because its removal has not returned. Remove it if it is still there once the storage answers.");
        }
        catch (Exception e) when (e is ImageException or IOException or UnauthorizedAccessException)
        {
            Note(e.Message);
        }
    }

    /// <summary>Removes what the attempt of a silo that has ended left beside an image that it did not publish.</summary>
    /// <param name="imagePath">The image's final path.</param>
    /// <returns>What is kept and why, for the operator; null when nothing is.</returns>
    public static string? RemoveLeftovers(string imagePath)
    {
        var paths = new ImagePaths(imagePath);
        try
        {
            ImageFile.RemoveLeftover(paths.Partial);
            File.Delete(paths.PartialManifest);
            DurableFile.RemoveTemporaries(paths.PartialManifest);
            return null;
        }
        catch (ImageException e) when (e.Fault == ImageFault.Busy)
        {
            // It is another migration's by now.
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{paths.Partial} is kept, because it could not be removed: {e.Message.TrimEnd('.')}. Remove it by hand once the storage answers.";
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        // A thread that is stuck in a write keeps its descriptor and buffer until the write returns.
        if (_crew?.Stop(TimeSpan.Zero) is null or 0)
            _crew?.Dispose();
        foreach (var engine in Engines())
            engine.Dispose();
        if (_image is { } image)
            await Task.WhenAny(StorageThread.RunAsync(image.Dispose), Task.Delay(StuckLimit, time));
        if (_guest is not null)
            await _guest.DisposeAsync();
        _lock?.Dispose();
    }

    private static T Opened<T>(T? part) where T : class =>
        part ?? throw new InvalidOperationException("The image is not open; the coordinator's commands came out of order.");

    /// <summary>Connects to the guest. A monitor that another migration holds does not greet: the guest's lock tells it from one that is no monitor.</summary>
    private async Task<QemuGuest> ConnectAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await QemuGuest.ConnectAsync(plan.Guest, plan.QmpPath, time, cancellationToken);
        }
        catch (GuestException e) when (e.Fault == GuestFault.NotQmp)
        {
            if (QemuGuest.FindServer(plan.QmpPath) is var (pid, startTime))
                GuestLock.Take(runtimeFolder, new ProcessIdentity(plan.Host, pid, startTime), plan.Guest).Dispose();
            throw;
        }
    }

    /// <summary>Takes over the image that was made, unless the attempt was aborted while the storage did not answer.</summary>
    private void Adopt(ImageFile image)
    {
        if (Decide(() => _image = image))
            return;
        using (image)
            image.Discard();
        throw new OperationCanceledException();
    }

    private ProcessIdentity ProcessOf(QemuGuest guest) => new(plan.Host, guest.Pid, guest.StartTime);

    private BlockEngine[] Engines()
    {
        lock (_gate)
            return [.. _engines.Values];
    }

    private void Note(string note)
    {
        lock (_gate)
            _notes.Add(note);
    }

    private void WriteMeta(ReadOnlySpan<byte> bytes, long offset)
    {
        Opened(_image).WriteMeta(bytes, offset);
        Interlocked.Add(ref _otherBytes, bytes.Length);
    }

    private void CloseEpoch()
    {
        var engines = Engines();
        var durable = false;
        try
        {
            foreach (var engine in engines)
                engine.BeginEpoch();
            Opened(_image).FSync();
            durable = true;
        }
        finally
        {
            foreach (var engine in engines)
                engine.EndEpoch(durable);
        }
    }

    private void Publish()
    {
        var image = Opened(_image);
        var layout = Opened(_layout);
        if (_digests.Count != layout.Blocks.Count)
            throw new InvalidOperationException($"Only {_digests.Count} of {layout.Blocks.Count} RAMBlocks have handed their shadow bitmap over.");
        image.FSync();
        var tail = layout.Tail(Opened(_devices));
        WriteMeta(tail, layout.TailOffset);
        image.FSync();
        Check(image);
        var manifest = new ImageManifest(
            ImageManifest.CurrentSchema, _imageId, layout.TailOffset + tail.Length, plan.Migration, time.GetUtcNow(), plan.Guest, plan.QmpPath,
            ProcessOf(Opened(_guest)), Opened(_description), _digests);
        manifest.Write(_paths.PartialManifest);
        image.ClosePages();
        if (!Decide(() => Rename(image)))
            throw new InvalidOperationException("The attempt was aborted, so its image is not published.");

        // Whoever is told that the image is published may open it, which the writer's lock would refuse.
        image.Dispose();
    }

    /// <summary>Runs the step that decides the outcome, unless it is decided already.</summary>
    private bool Decide(Action step)
    {
        lock (_outcome)
        {
            if (IsPublished || _aborted)
                return false;
            step();
            return true;
        }
    }

    /// <summary>Waits for a rename under way, however long it hangs: before it returns, nobody can tell whether the guest may go on.</summary>
    private async Task<bool> AbortUnlessPublishedAsync()
    {
        var decision = StorageThread.RunAsync(() => Decide(() => _aborted = true));
        if (await Task.WhenAny(decision, Task.Delay(StuckLimit, time)) != decision)
        {
            Note($"The rename of {_paths.Partial} has not returned, so nobody can tell yet whether the image is published. "
                + "The guest stays stopped until the storage answers.");
        }

        await decision;
        return !IsPublished;
    }

    private static void Check(ImageFile image)
    {
        using var input = image.OpenInput();
        var violations = ImageVerifier.Verify(input);
        if (violations.Count > 0)
        {
            throw new ImageException(ImageFault.Malformed,
                $"The finished image does not pass its own check, so it is not published: at offset {violations[0].Offset}: {violations[0].Message}. Please report it.");
        }
    }

    /// <summary>The image first and its manifest next: a reader in between finds an image without a manifest, never one with a wrong one.</summary>
    private void Rename(ImageFile image)
    {
        if (plan.Overwrite)
            File.Delete(_paths.Manifest);
        image.Rename(_paths.Image, plan.Overwrite);
        var named = false;
        try
        {
            Libc.Rename(_paths.PartialManifest, _paths.Manifest, replace: true);
            named = true;
            Libc.FSyncFolder(Path.GetDirectoryName(_paths.Image)!);
        }
        catch (ErrnoException e)
        {
            TakeBack(named);
            throw ImageException.From(e);
        }

        IsPublished = true;
        _downtime = time.GetElapsedTime(_stoppedAt);
    }

    /// <summary>Not durable, so not published: the names are taken back before anyone is told. Where that fails too, the image stands
    /// there for everyone to load, so it counts as published and the guest stays stopped.</summary>
    private void TakeBack(bool manifestNamed)
    {
        try
        {
            Libc.Rename(_paths.Image, _paths.Partial, replace: true);
            if (manifestNamed)
                File.Delete(_paths.Manifest);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            IsPublished = true;
            Note($"{_paths.Image} could not be withdrawn: {e.Message} Its name may not outlive a power cut; check it before you end the guest.");
        }
    }

    private async Task ContinueAsync(QemuGuest guest, CancellationToken cancellationToken)
    {
        try
        {
            await guest.ContAsync(cancellationToken);
            GuestState = (await guest.QueryRunStateAsync(cancellationToken)).Status;
        }
        catch (GuestException e)
        {
            Note(e.Fault == GuestFault.Exited
                ? $"The guest's QEMU has ended: {e.Message}"
                : $"The guest could not be continued: {e.Message} Continue it with QMP 'cont'.");
            if (e.Fault == GuestFault.Exited)
                GuestState = "ended";
        }

        _downtime = time.GetElapsedTime(_stoppedAt);
    }
}

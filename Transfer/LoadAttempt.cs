using DistMigrate.Guests;

namespace DistMigrate.Transfer;

/// <summary>
/// Loads an image into a QEMU of this host, after the checks that QEMU itself does not make, and lets the guest run. The coordinator
/// decides the order; the steps are <see cref="PrepareAsync"/>, <see cref="LoadAsync"/>, <see cref="RunAsync"/>. Before the guest may have run
/// <see cref="AbortAsync"/> ends it. A process that starts anew takes up with <see cref="ReattachAsync"/> what its predecessor had. One step
/// runs at a time; the properties may be read at any moment.
/// </summary>
/// <param name="plan">What to load and where.</param>
/// <param name="records">This host's load records.</param>
/// <param name="runtimeFolder">Where the locks lie that all silos of this machine share.</param>
/// <param name="time">The clock.</param>
public sealed class LoadAttempt(LoadPlan plan, LoadRecords records, string runtimeFolder, TimeProvider time) : IAsyncDisposable
{
    private readonly ClaimRegister _claims = new(plan.ImagePath, plan.Host, time);
    private readonly List<string> _notes = [];
    private readonly Lock _gate = new();
    private TargetGuest? _target;
    private readonly DowntimeParts _parts = new(time);
    private Preload? _preload;
    private Guid? _imageId;

    /// <summary>The guest's run state in QEMU's words, as last seen.</summary>
    public string GuestState => _target?.State ?? "";

    /// <summary>Names of the image's RAMBlocks; empty before it is read.</summary>
    public IReadOnlyList<string> RamBlocks { get; private set; } = [];

    /// <summary>What the operator should know beside the outcome, such as what could not be checked.</summary>
    public IReadOnlyList<string> Notes
    {
        get
        {
            lock (_gate)
                return [.. _notes];
        }
    }

    /// <summary>What the guest of a move stands still for at its target, one part after the other.</summary>
    public IReadOnlyList<(string Name, TimeSpan Time)> DowntimeParts => _parts.All;

    /// <summary>Bytes of pages of the image that the waiting QEMU of a move holds already; null when it is not filled in advance.</summary>
    public long? Preloaded => _preload?.Held;

    /// <summary>Move: whether the waiting QEMU can be filled in advance; null when it was not asked.</summary>
    public bool? IsFillable { get; private set; }

    /// <summary>Whether a QEMU waits for the guest, or has it.</summary>
    public bool IsPrepared => _target is not null;

    /// <summary>
    /// Has a QEMU wait for the guest: the one that was named, or one that is launched. For a move, everything is found out that
    /// may keep the guest from running here: whether this host sees the same storage, has the memory, and has a QEMU that fits.
    /// </summary>
    /// <param name="source">What the source of a move told; null for a restore.</param>
    /// <param name="probe">What the source of a move left beside the image.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="GuestException">The target cannot be launched or reached, or does not wait.</exception>
    /// <exception cref="ImageException">This host sees other storage than the source, or the target does not fit.</exception>
    public async Task PrepareAsync(SourceFacts? source, Guid probe, CancellationToken cancellationToken)
    {
        if (_target is not null || await ReattachAsync(cancellationToken) != Attachment.None)
            return;
        if (source is not null)
            await new SharedStorageProbe(plan.ImagePath, plan.Migration, time).FindAsync(probe, cancellationToken);
        var target = plan.QmpPath is { } path
            ? await TargetGuest.ConnectAsync(plan, path, runtimeFolder, isLaunched: false, time, cancellationToken)
            : await TargetGuest.LaunchAsync(plan, source, runtimeFolder, time, cancellationToken);
        try
        {
            await target.EnsureWaitsAsync(cancellationToken);
            if (source is not null)
                Judge(await target.CompareAsync(source.Description, cancellationToken));
            IsFillable = source is null ? null : await IsFillableAsync(target, cancellationToken);
            records.Write(new LoadRecord(
                plan.Migration, plan.Guest, target.QmpPath, target.Process, plan.ImagePath, target.IsLaunched, MayHaveRun: false));
            _target = target;
        }
        catch
        {
            await target.EndIfLaunchedAsync();
            await target.DisposeAsync();
            throw;
        }
    }

    private static async Task<bool> IsFillableAsync(TargetGuest target, CancellationToken cancellationToken)
    {
        try
        {
            return (await target.FindFillableAsync(cancellationToken)).Count > 0;
        }
        catch (GuestException e) when (e.Fault == GuestFault.MemoryUnreadable)
        {
            return false;
        }
    }

    /// <summary>
    /// For a move: begins to fill the waiting QEMU's memory from what is durable of the image, while the guest runs at its source. Repeats
    /// change nothing. Where it is not possible, the image is loaded as a whole once it is published.
    /// </summary>
    /// <exception cref="GuestException">The target does not answer.</exception>
    public async Task PreloadAsync(CancellationToken cancellationToken)
    {
        if (_preload is not null || _target is not { IsLoaded: false } target || records.Find(plan.Migration) is not { } record)
            return;
        _preload = await target.PreloadAsync(plan, () => records.Write(record with { IsPreloading = true }), cancellationToken);
        if (_preload is null)
            Note($"The QEMU on {plan.Host} cannot be filled in advance, so the guest stands still while it loads the whole image.");
    }

    /// <summary>
    /// Takes up what an earlier process of this host had of the migration. A QEMU that was launched and is in the middle of a load is
    /// of no use and is ended; one that has ended without having run gives its claim back.
    /// </summary>
    /// <returns>How far it is.</returns>
    /// <exception cref="ImageException">ClaimHeld: the guest may have run here, and its QEMU has ended.</exception>
    /// <exception cref="GuestException">The QEMU that was named is in the middle of a load, or does not answer.</exception>
    public async Task<Attachment> ReattachAsync(CancellationToken cancellationToken)
    {
        if (_target is { } known)
            return known.IsLoaded ? Attachment.Loaded : Attachment.Waiting;
        if (records.Find(plan.Migration) is not { } record)
            return Attachment.None;
        var isOurs = await StorageThread.RunAsync(() => OwnClaim(record) is not null).WaitAsync(cancellationToken);
        if (!record.Process.IsAlive())
        {
            await SettleEndedAsync(record);
            return Attachment.None;
        }

        var target = await TargetGuest.ConnectAsync(plan, record.QmpPath, runtimeFolder, record.IsLaunched, time, cancellationToken);
        if (target.Process != record.Process)
        {
            await target.DisposeAsync();
            throw new GuestException(GuestFault.Unsupported,
                $"Another QEMU than the one that migration {plan.Migration} had waits behind {record.QmpPath}. End it, then try again.");
        }

        if (isOurs || (!record.IsPreloading && await target.WaitsAsync(cancellationToken)))
        {
            target.IsLoaded = isOurs;
            _target = target;
            return isOurs ? Attachment.Loaded : Attachment.Waiting;
        }

        await using (target)
        {
            if (!record.IsLaunched)
            {
                throw new GuestException(GuestFault.LoadFailed,
                    $"The silo ended while the QEMU behind {record.QmpPath} loaded the image, and a QEMU loads only once. Start a new one.");
            }

            await target.EndAsync(cancellationToken);
        }

        records.Forget(plan.Migration);
        return Attachment.None;
    }

    /// <summary>Verifies the image, compares its manifest with the waiting QEMU, and loads it; of a move, proves what was loaded. The guest stays stopped.</summary>
    /// <exception cref="ImageException">The image is malformed, does not fit the target, is claimed by another, or is not what was loaded.</exception>
    /// <exception cref="GuestException">The target fails to load.</exception>
    public async Task LoadAsync(CancellationToken cancellationToken)
    {
        var target = Prepared();
        _parts.Begin();
        var image = await StorageThread.RunAsync(() => ImageCheck.Read(plan.ImagePath)).WaitAsync(cancellationToken);
        RamBlocks = [.. image.Blocks.Select(block => block.Layout.Name)];
        if (target.IsLoaded)
            return;
        var manifest = ImageManifest.Read(plan.ImagePath);
        if (plan.IsMove && _preload is { } preload && manifest is not null)
        {
            await target.LoadRestAsync(plan, image, preload, manifest.ImageId, _parts, cancellationToken);
            target.IsLoaded = true;
            return;
        }

        if (manifest is null)
            Note("The image has no manifest, so vCPU count, CPU model, devices and disks of the target were not compared.");
        Judge(await target.CompareAsync(image, manifest?.Guest, plan.IsLazy, cancellationToken));
        if (!plan.IsMove)
        {
            if (!plan.IgnoreClaim && manifest is not null)
                await EnsureSourceStoppedAsync(manifest, cancellationToken);

            // Early, since a load may take long: who restores an image that another runs from is refused before it.
            await TakeClaimAsync(target, cancellationToken);
        }

        await (plan.IsLazy ? target.LoadLazilyAsync(plan, image, cancellationToken) : target.LoadAsync(plan, cancellationToken));
        _parts.End("load");
        if (plan.IsMove)
            await target.ProveAsync(plan.ImagePath, image, manifest?.ImageId ?? Guid.Empty, cancellationToken);
        _parts.End("proof");
        target.IsLoaded = true;
    }

    /// <summary>Takes the claim and lets the guest run, unless it is to stay paused. Repeats change nothing.</summary>
    /// <param name="runs">Whether it is to run.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="ImageException">Another holds the claim, or the image is gone.</exception>
    /// <exception cref="GuestException">QEMU does not let the guest run.</exception>
    public async Task RunAsync(bool runs, CancellationToken cancellationToken)
    {
        var target = Prepared();
        if (!target.IsLoaded)
            throw new InvalidOperationException("Nothing is loaded; the coordinator's commands came out of order.");
        var claim = await TakeClaimAsync(target, cancellationToken);

        // Claims are removed only after their image: one that could be taken because they were gone is of no worth.
        if (plan.IsMove && await StorageThread.RunAsync(() => ImageManifest.Read(plan.ImagePath)).WaitAsync(cancellationToken) is not { } manifest)
            throw new ImageException(ImageFault.NotFound, $"{plan.ImagePath} is gone, so claim {claim.Number} beside it is of no worth. The guest was not let run.");
        if (runs && !plan.Paused)
        {
            await ContinueAsync(target, cancellationToken);
        }

        await target.QueryStateAsync(cancellationToken);
        _parts.End("run");
        if (plan.IsLazy)
            Note($"The guest runs from {plan.ImagePath}, which has to stay as it is for as long as the guest runs.");
        if (plan.Prefetches)
            _ = StorageThread.RunAsync(Prefetch);
    }

    /// <summary>
    /// Gives up: a QEMU that was launched, or waited for a move, is ended, and a claim released. One that was named for a restore stays,
    /// and may be ended by its owner.
    /// </summary>
    /// <exception cref="ImageException">ClaimHeld: the guest may have run here; or the claim could not be released.</exception>
    /// <exception cref="GuestException">QEMU does not end.</exception>
    public async Task AbortAsync(CancellationToken cancellationToken)
    {
        if (records.Find(plan.Migration) is not { } record)
        {
            if (plan.QmpPath is null)
                await TargetGuest.EndForgottenAsync(plan, runtimeFolder, time, cancellationToken);
            return;
        }

        if (record.MayHaveRun)
            throw MayHaveRun(record);
        if (plan.IsMove || record.IsLaunched)
        {
            // First, and without a word to the storage, which may hang: what is gone cannot run.
            _preload?.Dispose();
            _preload = null;
            var target = _target ?? (record.Process.IsAlive()
                ? await TargetGuest.ConnectAsync(plan, record.QmpPath, runtimeFolder, record.IsLaunched, time, cancellationToken)
                : null);
            _target = null;
            if (target is not null)
            {
                await using (target)
                    await target.EndAsync(cancellationToken);
            }

            await SettleEndedAsync(record);
        }

        records.Forget(plan.Migration);
    }

    /// <summary>A guest that may run here although another holds a later claim by now is stopped: somebody decided so while this host was away.</summary>
    /// <returns>What the operator should know; null when nothing had to be done.</returns>
    public async Task<string?> StopIfSupersededAsync(CancellationToken cancellationToken)
    {
        if (records.Find(plan.Migration) is not { MayHaveRun: true } record || !record.Process.IsAlive())
            return null;
        var later = await StorageThread.RunAsync(() => _claims.Current() is { } current && current.Holder != record.Process ? current : null).WaitAsync(cancellationToken);
        if (later is null)
            return null;
        await using var target = await TargetGuest.ConnectAsync(plan, record.QmpPath, runtimeFolder, record.IsLaunched, time, cancellationToken);
        if (target.Process != record.Process)
            return null;
        await target.StopAsync(cancellationToken);
        return $"Guest {plan.Guest} was stopped: QEMU process {later.Holder.Pid} on host {later.Holder.Host} holds claim {later.Number} since {later.Taken:u}, later than ours.";
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _preload?.Dispose();
        if (_target is not null)
            await _target.DisposeAsync();
    }

    private void Prefetch()
    {
        try
        {
            LazyMemory.Prefetch(plan.ImagePath);
        }
        catch (Exception e) when (e is Posix.ErrnoException or IOException)
        {
            // The guest itself reads what it needs, and fails if that cannot be read.
            Note($"{plan.ImagePath} could not be read in advance: {e.Message}");
        }
    }

    private async Task ContinueAsync(TargetGuest target, CancellationToken cancellationToken)
    {
        var record = records.Find(plan.Migration) ?? throw new InvalidOperationException($"Nothing is on record of migration {plan.Migration}.");
        records.Write(record with { MayHaveRun = true });
        try
        {
            await target.ContinueAsync(plan.ImagePath, cancellationToken);
        }
        catch (GuestException e) when (e.Fault == GuestFault.LoadFailed)
        {
            // QEMU said no, and the guest stands still.
            records.Write(record);
            throw;
        }
    }

    private TargetGuest Prepared() => _target ?? throw new InvalidOperationException("No QEMU waits; the coordinator's commands came out of order.");

    private Claim? OwnClaim(LoadRecord record) =>
        _claims.Current() is { } claim && claim.Migration == plan.Migration && claim.Holder == record.Process ? claim : null;

    private async Task<Claim> TakeClaimAsync(TargetGuest target, CancellationToken cancellationToken)
    {
        var imageId = _imageId ??= await StorageThread.RunAsync(() => ImageManifest.Read(plan.ImagePath)?.ImageId ?? Guid.Empty).WaitAsync(cancellationToken);
        return await StorageThread.RunAsync(() => _claims.Take(imageId, plan.Guest, plan.Migration, target.Process, plan.IgnoreClaim)).WaitAsync(cancellationToken);
    }

    /// <summary>The QEMU is gone: if the guest has not run there, the claim to run it is free again.</summary>
    private async Task SettleEndedAsync(LoadRecord record)
    {
        if (record.MayHaveRun)
            throw MayHaveRun(record);
        await StorageThread.RunAsync(() =>
        {
            if (OwnClaim(record) is { } claim)
                _claims.Release(claim, $"QEMU process {record.Process.Pid} on {plan.Host} has ended, and the guest did not run there.");
        });
        records.Forget(plan.Migration);
    }

    private ImageException MayHaveRun(LoadRecord record) => new(ImageFault.ClaimHeld,
        $"The guest may have run on {plan.Host} in QEMU process {record.Process.Pid}, which {(record.Process.IsAlive() ? "is there" : "has ended")}.");

    private void Judge(IReadOnlyList<string> differences)
    {
        if (differences.Count == 0)
            return;
        if (!plan.IgnoreMismatch)
        {
            throw new ImageException(ImageFault.Mismatch,
                $"The QEMU on {plan.Host} does not fit the guest, and QEMU itself would not tell: {string.Join(' ', differences)} "
                + "Start it as the source was started, or use --ignore-mismatch.");
        }

        foreach (var difference in differences)
            Note(difference);
    }

    private async Task EnsureSourceStoppedAsync(ImageManifest manifest, CancellationToken cancellationToken)
    {
        if (manifest.Source.Host != plan.Host)
        {
            Note($"The guest was saved on host {manifest.Source.Host}; whether it runs there was not checked.");
            return;
        }

        if (!manifest.Source.IsAlive())
            return;
        QemuGuest source;
        try
        {
            source = await QemuGuest.ConnectAsync(manifest.GuestName, manifest.QmpPath, time, cancellationToken);
        }
        catch (GuestException e)
        {
            Note($"The source QEMU (process {manifest.Source.Pid}) still exists, but its monitor does not answer, so whether it runs is not known: {e.Message}");
            return;
        }

        await using (source)
        {
            if (source.Pid == manifest.Source.Pid && (await source.QueryRunStateAsync(cancellationToken)).Running)
            {
                throw new ImageException(ImageFault.ClaimHeld,
                    $"The source of this image still runs (QEMU process {source.Pid}, monitor {manifest.QmpPath}). "
                    + "Stop or end it first, or use --ignore-claim if both may run on disks of their own.");
            }
        }
    }

    private void Note(string note)
    {
        lock (_gate)
        {
            if (!_notes.Contains(note))
                _notes.Add(note);
        }
    }
}

/// <summary>How far a QEMU of an earlier process is.</summary>
public enum Attachment
{
    /// <summary>There is none that is of use.</summary>
    None,

    /// <summary>It waits for the image.</summary>
    Waiting,

    /// <summary>It has the guest and the claim to run it.</summary>
    Loaded,
}

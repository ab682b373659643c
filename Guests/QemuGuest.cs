using System.Diagnostics.CodeAnalysis;
using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>
/// A guest: one QEMU process on this machine, controlled through its QMP socket, its memory read from outside. QEMU 10.0 or later.
/// </summary>
public sealed class QemuGuest : IGuest
{
    /// <summary>QEMU streams what is not in a shared named file; up to this many bytes of it the pause stays short.</summary>
    internal const long StreamedMemoryLimit = 64L * 1024 * 1024;

    // vm_stop drains all block I/O first, which waits for the guest's disks.
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(60);

    // How long QEMU may take to see that nobody reads the migration of a capture whose process has died.
    private static readonly TimeSpan OrphanLimit = TimeSpan.FromSeconds(10);

    // QEMU refuses cont between the end of a migration and its own last word on it, which follows within milliseconds.
    private const string Finishing = "finish-migrate";
    private static readonly TimeSpan FinishLimit = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan FinishPace = TimeSpan.FromMilliseconds(2);

    private readonly TimeProvider _time;
    private readonly GuestInventory _inventory;

    private QemuGuest(string name, string qmpPath, QmpClient qmp, TimeProvider time, int pid, long startTime)
    {
        _time = time;
        _inventory = new GuestInventory(qmp, pid);
        Name = name;
        QmpPath = qmpPath;
        Qmp = qmp;
        Pid = pid;
        StartTime = startTime;
    }

    /// <summary>Connects by <see cref="ConnectAsync"/>.</summary>
    public static GuestConnector Connector { get; } =
        async (name, qmpPath, time, cancellationToken) => await ConnectAsync(name, qmpPath, time, cancellationToken);

    /// <summary>The name that the operator knows it by.</summary>
    public string Name { get; }

    /// <summary>Its QMP socket.</summary>
    public string QmpPath { get; }

    /// <summary>The connection to its monitor.</summary>
    public QmpClient Qmp { get; }

    /// <summary>QEMU's process.</summary>
    public int Pid { get; }

    /// <summary>When that process started, in clock ticks since boot (/proc/PID/stat, field 22): with the pid it names the process.</summary>
    public long StartTime { get; }

    /// <summary>QEMU's version, such as <c>10.0.2</c>.</summary>
    public string QemuVersion => Qmp.QemuVersion;

    /// <summary>Connects to a guest's monitor and finds its process.</summary>
    /// <exception cref="GuestException">Unreachable, NotQmp, Exited, or Unsupported (a process of another pid namespace).</exception>
    public static async Task<QemuGuest> ConnectAsync(string name, string qmpPath, TimeProvider time, CancellationToken cancellationToken)
    {
        var qmp = await QmpClient.ConnectAsync(qmpPath, time, cancellationToken);
        try
        {
            var pid = MonitorOwner.Find(qmpPath, qmp.PeerPid);
            return new QemuGuest(name, qmpPath, qmp, time, pid, ProcessFiles.StartTime(pid));
        }
        catch
        {
            await qmp.DisposeAsync();
            throw;
        }
    }

    /// <summary>The process that serves a monitor to another client, found without a word from it.</summary>
    /// <returns>Its pid and start time (as <see cref="StartTime"/>); null when no process of this pid namespace serves a client on that socket.</returns>
    public static (int Pid, long StartTime)? FindServer(string qmpPath)
    {
        try
        {
            var pid = MonitorOwner.Find(qmpPath, peerPid: 0);
            return (pid, ProcessFiles.StartTime(pid));
        }
        catch (GuestException)
        {
            return null;
        }
    }

    /// <inheritdoc cref="QmpClient.ThrowIfEnded"/>
    public void ThrowIfEnded() => Qmp.ThrowIfEnded();

    /// <summary>Whether the guest runs, and QEMU's word for its state.</summary>
    /// <exception cref="GuestException">QEMU did not answer.</exception>
    public async Task<GuestRunState> QueryRunStateAsync(CancellationToken cancellationToken)
    {
        var reply = await Qmp.ExecuteAsync("query-status", null, null, cancellationToken);
        return new GuestRunState(reply.RequiredFlag("running"), reply.RequiredText("status"));
    }

    /// <summary>
    /// What the dirty log of a migration is worth. With KVM it has every write. Where QEMU translates (TCG) the vCPUs are to note their next writes
    /// to a RAMBlock once its log was read, and are told so (QEMU 10.0 include/exec/ram_addr.h, cpu_physical_memory_sync_dirty_bitmap) only if a page
    /// is newly dirty, and for addresses that begin at 0 instead of where the block does: so writes may be missing. And QEMU asserts that
    /// these addresses lie in one block (tlb_reset_dirty_range_all), which they do not for a block longer than that at 0.
    /// </summary>
    /// <param name="ramBlocks">The guest's RAMBlocks.</param>
    /// <param name="cancellationToken">Stops the question.</param>
    /// <exception cref="GuestException">QEMU did not answer.</exception>
    public async Task<DirtyLog> QueryDirtyLogAsync(IReadOnlyList<RamBlock> ramBlocks, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(ramBlocks);
        if ((await Qmp.ExecuteAsync("query-kvm", null, null, cancellationToken)).RequiredFlag("enabled"))
            return DirtyLog.Complete;
        var first = ramBlocks.FirstOrDefault(block => block.RamAddress == 0)?.MaxLength ?? 0;
        return ramBlocks.Any(block => block.UsedLength > first && IsLoggedByWords(block)) ? DirtyLog.Fatal : DirtyLog.Incomplete;
    }

    /// <summary>Stops the vCPUs and waits until they stand and all block I/O has drained. A guest that stands already is left so.</summary>
    /// <returns>The run state afterwards.</returns>
    /// <exception cref="GuestException">TimedOut after 60 s: QEMU may still stop the guest later, so send <see cref="ContAsync"/>.</exception>
    public async Task<GuestRunState> StopAsync(CancellationToken cancellationToken)
    {
        await Qmp.ExecuteAsync("stop", null, StopLimit, cancellationToken);
        return await QueryRunStateAsync(cancellationToken) is { Running: false } stopped ? stopped : throw new GuestException(
            GuestFault.CommandFailed, "QEMU took the stop command, yet the guest runs: something else started it again. Look for another client of its monitors.");
    }

    /// <summary>Lets the vCPUs run; takes the disks back after a completed migration.</summary>
    /// <returns>The run state afterwards.</returns>
    /// <exception cref="GuestException">CommandFailed: QEMU does not start it, most often because a disk is locked by another process;
    /// Unsupported: it waits for an image, and would start by itself after the load.</exception>
    public async Task<GuestRunState> ContAsync(CancellationToken cancellationToken)
    {
        var before = await QueryRunStateAsync(cancellationToken);
        for (var began = _time.GetTimestamp(); before.Status == Finishing && _time.GetElapsedTime(began) < FinishLimit; before = await QueryRunStateAsync(cancellationToken))
            await Task.Delay(FinishPace, _time, cancellationToken);
        if (before.Status == "inmigrate")
            throw new GuestException(GuestFault.Unsupported, "The guest waits for an image, so there is nothing to continue yet. Load one first.");
        await Qmp.ExecuteAsync("cont", null, StopLimit, cancellationToken);
        var state = await QueryRunStateAsync(cancellationToken);
        return state.Running ? state : throw new GuestException(
            GuestFault.CommandFailed, $"QEMU took the cont command, yet the guest is {state.Status}. Look at its log and its disks.");
    }

    /// <summary>The migratable RAMBlocks now, in QEMU's order. used_length of some (ACPI tables) may change while the guest boots.</summary>
    /// <exception cref="GuestException">QEMU did not answer, or in a way that is not known.</exception>
    public Task<IReadOnlyList<RamBlock>> QueryRamBlocksAsync(CancellationToken cancellationToken) => _inventory.RamBlocksAsync(cancellationToken);

    /// <summary>The versioned machine, such as <c>pc-q35-10.0</c>: what the configuration section of an image names.</summary>
    /// <exception cref="GuestException">QEMU did not answer.</exception>
    public Task<string> QueryMachineAsync(CancellationToken cancellationToken) => _inventory.MachineAsync(cancellationToken);

    /// <summary>Refuses, by questions alone and before the guest is touched, what cannot be saved truly.</summary>
    /// <exception cref="GuestException">Blocked with QEMU's own words; Unsupported (VFIO, virtio-mem, encrypted memory, backup
    /// bitmaps, a guest that waits for an image); Busy; MemoryUnreadable.</exception>
    /// <returns>The migratable RAMBlocks, all of them readable.</returns>
    public async Task<IReadOnlyList<RamBlock>> EnsureSavableAsync(CancellationToken cancellationToken) =>
        await new SavableCheck(Qmp, Pid, _inventory).EnsureAsync(await QueryRunStateAsync(cancellationToken), cancellationToken);

    /// <summary>Opens a RAMBlock's memory for reading from outside.</summary>
    /// <exception cref="GuestException">MemoryUnreadable, or Exited.</exception>
    public IGuestMemory OpenMemory(RamBlock block) => GuestMemory.Open(Pid, block);

    /// <summary>Opens a RAMBlock's memory of a QEMU that waits for a guest, for writing from outside.</summary>
    /// <exception cref="GuestException">MemoryUnreadable: the silo may not; or Exited.</exception>
    public WaitingMemory OpenWaitingMemory(RamBlock block) => new(Pid, block);

    /// <summary>
    /// The better way to take the device state: <see cref="DeviceStateMethod.IgnoreShared"/>, unless QEMU would stream more than
    /// 64 MiB of memory that is not in a shared named file.
    /// </summary>
    /// <param name="memories">The memory of all migratable RAMBlocks.</param>
    [SuppressMessage("Performance", "CA1822", Justification = "A question about this guest: what its QEMU can do may decide as well.")]
    public DeviceStateMethod ChooseDeviceStateMethod(IEnumerable<IGuestMemory> memories) =>
        memories.Where(m => !m.IsNamedFile).Sum(m => m.Length) <= StreamedMemoryLimit ? DeviceStateMethod.IgnoreShared : DeviceStateMethod.XenSave;

    /// <summary>
    /// Takes the device state of the stopped guest. QEMU's migration settings are the same afterwards. Where QEMU cannot do
    /// <see cref="DeviceStateMethod.IgnoreShared"/> now (a completed migrate is not followed by another before <c>cont</c>, or it
    /// lacks the capability), <see cref="DeviceStateMethod.XenSave"/> is used.
    /// </summary>
    /// <param name="method">How it is taken.</param>
    /// <param name="releasesDisks">Whether QEMU gives up its disks' locks, so that the target of a move can take them, as a completed
    /// migrate does anyway; <c>cont</c> takes them back.</param>
    /// <param name="cancellationToken">Stops the wait.</param>
    /// <exception cref="GuestException">DeviceState, Blocked, Busy, Unsupported, TimedOut or Exited; the guest can be continued
    /// unless it is gone.</exception>
    public async Task<DeviceSections> CaptureDeviceStateAsync(DeviceStateMethod method, bool releasesDisks, CancellationToken cancellationToken)
    {
        var state = await QueryRunStateAsync(cancellationToken);
        if (state.Running)
            throw new GuestException(GuestFault.DeviceState, "Device state is taken of a stopped guest only, and this one runs. Stop it first.");
        SavableCheck.EnsureRunState(state);
        var progress = await MigrationProgress.QueryAsync(Qmp, null, cancellationToken);
        EnsureFree(progress);
        SavableCheck.EnsureNotBlocked(progress);

        var capture = new DeviceStateCapture(Qmp, _time);
        var tryIgnoreShared = method == DeviceStateMethod.IgnoreShared && state.Status != "postmigrate";
        return (tryIgnoreShared ? await capture.TryIgnoreSharedAsync(cancellationToken) : null) ?? await capture.XenSaveAsync(releasesDisks, cancellationToken);
    }

    /// <summary>
    /// The migration settings of QEMU that <see cref="CaptureDeviceStateAsync"/> would change now. A process that may die during the
    /// capture keeps them on disk before, so that the next one can put them back.
    /// </summary>
    /// <exception cref="GuestException">QEMU did not answer, or in a way that is not known.</exception>
    public Task<MigrationSettingsSnapshot> ReadMigrationSettingsAsync(CancellationToken cancellationToken) =>
        MigrationSettings.ForDeviceState(Qmp).ReadAsync(cancellationToken);

    /// <summary>Whether QEMU can limit how fast each CPU dirties memory, and nobody has it do so.</summary>
    /// <exception cref="GuestException">QEMU did not answer, or in a way that is not known.</exception>
    public Task<bool> CanLimitDirtyRateAsync(CancellationToken cancellationToken) => DirtyLimit.IsPossibleAsync(Qmp, cancellationToken);

    /// <summary>The migration settings of QEMU that <see cref="StreamAsync"/> would change now, to be kept as those of a capture are.</summary>
    /// <exception cref="GuestException">QEMU did not answer, or in a way that is not known.</exception>
    public Task<MigrationSettingsSnapshot> ReadMigrationSettingsAsync(StreamLimits limits, CancellationToken cancellationToken) =>
        LiveStream.Settings(Qmp, limits).ReadAsync(cancellationToken);

    /// <summary>
    /// Lets QEMU migrate the running guest into a sink of ours, until it stops the guest and sends what is left. On every failure the
    /// guest runs on; after the end it stands still, as a source whose migration has completed.
    /// </summary>
    /// <param name="sink">Takes the pages.</param>
    /// <param name="limits">What QEMU is told.</param>
    /// <param name="stopped">Called when the guest stops.</param>
    /// <param name="cancellationToken">Cancels the migration.</param>
    /// <returns>The device state.</returns>
    /// <exception cref="GuestException">DeviceState, Blocked, Busy, Unsupported or Exited; what the sink throws.</exception>
    public async Task<DeviceSections> StreamAsync(IRamStreamSink sink, StreamLimits limits, Action stopped, CancellationToken cancellationToken)
    {
        var progress = await MigrationProgress.QueryAsync(Qmp, null, cancellationToken);
        EnsureFree(progress);
        SavableCheck.EnsureNotBlocked(progress);
        return await new LiveStream(Qmp, Pid, _time).RunAsync(sink, limits, stopped, cancellationToken);
    }

    /// <summary>The migration settings of QEMU that <see cref="SnapshotAsync"/> would change now, to be kept as those of a capture are.</summary>
    /// <exception cref="GuestException">QEMU did not answer, or in a way that is not known.</exception>
    public Task<MigrationSettingsSnapshot> ReadSnapshotSettingsAsync(CancellationToken cancellationToken) =>
        LiveStream.SnapshotSettings(Qmp).ReadAsync(cancellationToken);

    /// <summary>Has QEMU send the running guest's memory and devices as they are at one moment, for which the guest stops for milliseconds.
    /// A write of the guest to a page that was not sent yet waits until it is.</summary>
    /// <param name="sink">Takes the pages, each once.</param>
    /// <param name="stopped">Called when the guest stops.</param>
    /// <param name="continued">Called when it runs again.</param>
    /// <param name="cancellationToken">Cancels the snapshot.</param>
    /// <returns>The device state of that moment.</returns>
    /// <exception cref="GuestException">Unsupported: QEMU or its host's kernel cannot, in QEMU's words; DeviceState, Blocked, Busy or Exited; what
    /// the sink throws. The guest may stand still then.</exception>
    public async Task<DeviceSections> SnapshotAsync(IRamStreamSink sink, Action stopped, Action continued, CancellationToken cancellationToken)
    {
        var progress = await MigrationProgress.QueryAsync(Qmp, null, cancellationToken);
        EnsureFree(progress);
        SavableCheck.EnsureNotBlocked(progress);
        return await new LiveStream(Qmp, Pid, _time).SnapshotAsync(sink, stopped, continued, cancellationToken);
    }

    /// <summary>How QEMU sees the stream of <see cref="StreamAsync"/>; null before it counts.</summary>
    /// <exception cref="GuestException">QEMU did not answer.</exception>
    public Task<StreamProgress?> QueryStreamAsync(CancellationToken cancellationToken) => new LiveStream(Qmp, Pid, _time).QueryAsync(cancellationToken);

    /// <summary>Changes the limits of the stream under way: of them the downtime.</summary>
    /// <exception cref="GuestException">QEMU did not answer.</exception>
    public Task SetStreamLimitsAsync(StreamLimits limits, CancellationToken cancellationToken) =>
        new LiveStream(Qmp, Pid, _time).SetDowntimeAsync(limits, cancellationToken);

    /// <summary>
    /// Puts back what a capture changed whose process has died. What it did not get to change, or somebody has set since, stays as
    /// it is, so this may be repeated. Its migration, which fails because nobody reads it, is waited for.
    /// </summary>
    /// <param name="before">What <see cref="ReadMigrationSettingsAsync(CancellationToken)"/> gave before the capture.</param>
    /// <param name="cancellationToken">Stops the wait.</param>
    /// <exception cref="GuestException">Busy: a migration is still under way after 10 s, and nothing was changed; CommandFailed,
    /// TimedOut or Exited. None of these keeps the guest from being continued.</exception>
    public async Task RestoreMigrationSettingsAsync(MigrationSettingsSnapshot before, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(before);
        using var limit = new CancellationTokenSource(OrphanLimit, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        using var events = Qmp.Subscribe();
        try
        {
            if (!(await MigrationProgress.QueryAsync(Qmp, null, either.Token)).IsOver)
                await MigrationProgress.WaitAsync(Qmp, events, null, either.Token);
        }
        catch (OperationCanceledException e) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new GuestException(GuestFault.Busy,
                $"A migration of this guest is under way, so QEMU's migration settings of before could not be put back: {Describe(before)}. Set them (QMP migrate-set-capabilities, migrate-set-parameters) once it is over.", e);
        }

        await MigrationSettings.ForDeviceState(Qmp).RestoreWhatIsOursAsync(before, cancellationToken);
    }

    /// <summary>How the guest is built, for an image's manifest and for the check before a load.</summary>
    /// <exception cref="GuestException">QEMU did not answer, or in a way that is not known.</exception>
    public async Task<GuestDescription> DescribeAsync(CancellationToken cancellationToken) =>
        await DescribeAsync(await QueryRamBlocksAsync(cancellationToken), cancellationToken);

    /// <summary>How the guest is built.</summary>
    /// <param name="ramBlocks">Its RAMBlocks, where they are known already.</param>
    /// <param name="cancellationToken">Stops the questions.</param>
    /// <exception cref="GuestException">QEMU did not answer, or in a way that is not known.</exception>
    public Task<GuestDescription> DescribeAsync(IReadOnlyList<RamBlock> ramBlocks, CancellationToken cancellationToken) =>
        _inventory.DescribeAsync(ramBlocks, cancellationToken);

    /// <summary>
    /// Loads a mapped-ram image into this guest, which waits for one (<c>-incoming defer</c>). It stays stopped. Its memory must be
    /// fresh: QEMU leaves pages that are not in the image as they are. Compare <see cref="GuestDescription.Differences"/> first,
    /// because QEMU does not.
    /// </summary>
    /// <param name="path">The image, as QEMU's process sees it.</param>
    /// <param name="options">How it is read.</param>
    /// <param name="cancellationToken">Stops the wait, not the load.</param>
    /// <returns>The run state afterwards: stopped, to be continued by <see cref="ContAsync"/>.</returns>
    /// <exception cref="GuestException">LoadFailed with QEMU's reason (the target stays and can be asked), Unsupported, or Exited.</exception>
    public async Task<GuestRunState> LoadImageAsync(string path, LoadOptions options, CancellationToken cancellationToken)
    {
        await new ImageLoad(Qmp).RunAsync(path, options, await QueryRunStateAsync(cancellationToken), cancellationToken);
        return await QueryRunStateAsync(cancellationToken);
    }

    /// <summary>The argument list of its process, its program first. It may hold secrets: never log it.</summary>
    /// <exception cref="GuestException">MemoryUnreadable: it may not be read; Exited.</exception>
    public IReadOnlyList<string> ReadArguments() => ProcessFiles.Arguments(Pid);

    /// <summary>The working folder of its process, which relative paths in the arguments begin from; null when it may not be read.</summary>
    public string? ReadWorkingFolder() => ProcessFiles.WorkingFolder(Pid);

    /// <summary>Ends QEMU (QMP <c>quit</c>) and waits until its process is gone.</summary>
    /// <exception cref="GuestException">QEMU refuses, or is still there after 60 s.</exception>
    public async Task QuitAsync(CancellationToken cancellationToken)
    {
        using var process = QemuEnd.TryHold(Pid, StartTime);
        if (process is null)
            return;
        try
        {
            await Qmp.ExecuteAsync("quit", null, StopLimit, cancellationToken);
        }
        catch (GuestException e) when (e.Fault == GuestFault.Exited)
        {
            // It went before its answer came.
        }

        if (!await process.WaitAsync(StopLimit, _time, cancellationToken))
            throw new GuestException(GuestFault.TimedOut, $"QEMU process {Pid} took the quit command but has not ended. Look at its log.");
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => Qmp.DisposeAsync();

    /// <summary>Whether QEMU reads its log 64 pages at a time; other blocks are read page by page, and rightly.</summary>
    private static bool IsLoggedByWords(RamBlock block)
    {
        const int wordLength = 64 * 4096;
        return block.RamAddress % wordLength == 0 && block.UsedLength % wordLength == 0;
    }

    private static void EnsureFree(MigrationProgress progress)
    {
        if (!progress.IsOver)
            throw new GuestException(GuestFault.Busy, $"A migration of this guest is under way ({progress.Status}). Wait for it, or cancel it (QMP migrate_cancel).");
    }

    private static string Describe(MigrationSettingsSnapshot settings) => string.Join(", ",
        settings.Capabilities.Select(c => $"{c.Key}={(c.Value ? "on" : "off")}").Concat(settings.Parameters.Select(p => $"{p.Key}={p.Value}")));
}

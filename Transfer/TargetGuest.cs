using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>The QEMU that an image is loaded into, as its loader controls it. One call runs at a time; the properties may be read at any moment.</summary>
internal sealed class TargetGuest : IAsyncDisposable
{
    private readonly QemuGuest _qemu;
    private readonly GuestLock _lock;
    private readonly LaunchedQemu? _launched;
    private readonly TimeProvider _time;

    private TargetGuest(QemuGuest qemu, GuestLock @lock, ProcessIdentity process, LaunchedQemu? launched, TimeProvider time)
    {
        _time = time;
        _qemu = qemu;
        _lock = @lock;
        _launched = launched;
        Process = process;
    }

    /// <summary>Its process.</summary>
    public ProcessIdentity Process { get; }

    /// <summary>Its monitor socket.</summary>
    public string QmpPath => _qemu.QmpPath;

    /// <summary>Whether a silo launched it.</summary>
    public bool IsLaunched => _launched is not null;

    /// <summary>The guest's run state in QEMU's words, as last seen.</summary>
    public string State { get; private set; } = "";

    /// <summary>Whether it has the guest.</summary>
    public bool IsLoaded { get; set; }

    /// <summary>Connects to one and takes its lock.</summary>
    /// <exception cref="GuestException">It cannot be reached.</exception>
    /// <exception cref="ImageException">Another migration holds it.</exception>
    public static Task<TargetGuest> ConnectAsync(
        LoadPlan plan, string qmpPath, string runtimeFolder, bool isLaunched, TimeProvider time, CancellationToken cancellationToken) =>
        ConnectAsync(plan, qmpPath, runtimeFolder, isLaunched ? LaunchedQemu.Find(plan.Launch.FolderOf(plan.Guest)) : null, time, cancellationToken);

    /// <summary>Launches one as the source's, or as this host's definition of the guest says, and takes its lock.</summary>
    /// <exception cref="GuestException">It cannot be launched, or ended at once.</exception>
    public static async Task<TargetGuest> LaunchAsync(
        LoadPlan plan, SourceFacts? source, string runtimeFolder, TimeProvider time, CancellationToken cancellationToken)
    {
        var placement = plan.Launch.PlacementOf(plan.Guest, plan.Migration);
        var composed = LaunchPlan.Compose(plan.Launch.ArgumentsFor(plan.Guest, () => source?.Arguments ?? ArgumentsOfManifest(plan)), placement);
        if (plan.IsLazy)
            composed = composed.Mapping(plan.ImagePath, await StorageThread.RunAsync(() => LazyMemory.BlocksOf(plan.ImagePath)).WaitAsync(cancellationToken));
        if (source is not null)
            MemoryRoom.Ensure(composed, placement.MemoryFolder, source.RamBytes);
        await EndForgottenAsync(plan, runtimeFolder, time, cancellationToken);
        var request = new LaunchRequest(plan.Guest, composed, placement) { WorkingFolder = source?.WorkingFolder is { Length: > 0 } folder ? folder : null };
        var launched = await new QemuLauncher(time).LaunchAsync(request, cancellationToken);
        try
        {
            return await ConnectAsync(plan, launched.MonitorPath, runtimeFolder, launched, time, cancellationToken);
        }
        catch
        {
            await launched.EndAsync(time, CancellationToken.None);
            throw;
        }
    }

    /// <summary>A silo that ends while it launches a QEMU leaves one that is on no load record. Nothing was loaded into it, so it is of no use.</summary>
    public static async Task EndForgottenAsync(LoadPlan plan, string runtimeFolder, TimeProvider time, CancellationToken cancellationToken)
    {
        if (LaunchedQemu.Find(plan.Launch.FolderOf(plan.Guest)) is not { IsAlive: true } forgotten)
            return;
        await using var target = await ConnectAsync(plan, forgotten.MonitorPath, runtimeFolder, forgotten, time, cancellationToken);
        if (await target.WaitsAsync(cancellationToken))
            await target.EndAsync(cancellationToken);
    }

    /// <summary>Sees to it that it waits for an image, and stands still whatever the image's state says.</summary>
    /// <exception cref="GuestException">It does not wait.</exception>
    public async Task EnsureWaitsAsync(CancellationToken cancellationToken)
    {
        if (!await WaitsAsync(cancellationToken))
        {
            throw new GuestException(GuestFault.Unsupported,
                $"The QEMU behind {QmpPath} does not wait for a guest (it is '{State}'). Start it with '-incoming defer'.");
        }

        // Otherwise a state that says "running" would start the guest before we hold the claim.
        await _qemu.StopAsync(cancellationToken);
    }

    /// <summary>Whether it waits for an image.</summary>
    public async Task<bool> WaitsAsync(CancellationToken cancellationToken)
    {
        await QueryStateAsync(cancellationToken);
        return State == "inmigrate";
    }

    /// <summary>Asks for the run state.</summary>
    public async Task QueryStateAsync(CancellationToken cancellationToken) => State = (await _qemu.QueryRunStateAsync(cancellationToken)).Status;

    /// <summary>In what it differs from a guest.</summary>
    public async Task<IReadOnlyList<string>> CompareAsync(GuestDescription guest, CancellationToken cancellationToken) =>
        GuestDescription.Differences(guest, await _qemu.DescribeAsync(cancellationToken));

    /// <summary>In what it differs from the guest of an image, of which more is known when it has a manifest.</summary>
    public async Task<IReadOnlyList<string>> CompareAsync(MappedRamImage image, GuestDescription? described, bool isLazy, CancellationToken cancellationToken)
    {
        var target = await _qemu.QueryRamBlocksAsync(cancellationToken);
        List<string> differences = [];
        var machine = await _qemu.QueryMachineAsync(cancellationToken);
        if (machine != image.MachineName)
            differences.Add($"The machine type is {machine}; the image is of {image.MachineName}.");
        foreach (var block in image.Blocks)
        {
            var match = target.FirstOrDefault(candidate => candidate.Name == block.Layout.Name);
            if (match is null)
                differences.Add($"The target has no RAMBlock {block.Layout.Name} ({block.Layout.UsedLength} bytes).");
            else if (match.UsedLength != block.Layout.UsedLength)
                differences.Add($"RAMBlock {block.Layout.Name} has {match.UsedLength} bytes; in the image it has {block.Layout.UsedLength}.");
            else if (!LazyMemory.IsMapped(isLazy, block.Layout))
                EnsureFresh(match, block.Shadow, differences);
        }

        foreach (var block in target.Where(block => image.Blocks.All(saved => saved.Layout.Name != block.Name)))
            differences.Add($"The target has a RAMBlock {block.Name} ({block.UsedLength} bytes) that the image lacks.");
        if (described is not null)
            differences.AddRange((await CompareAsync(described, cancellationToken)).Except(differences));
        return differences;
    }

    /// <summary>Loads an image and waits until that is over; the guest stays stopped.</summary>
    /// <exception cref="GuestException">QEMU does not load it.</exception>
    public async Task LoadAsync(LoadPlan plan, CancellationToken cancellationToken) =>
        State = (await _qemu.LoadImageAsync(plan.ImagePath, new LoadOptions(plan.Channels, plan.DirectIo), cancellationToken)).Status;

    /// <summary>The RAMBlocks that can be filled before the image is published: those that are large, if all of them are empty; else none.</summary>
    /// <exception cref="GuestException">Its memory cannot be opened.</exception>
    public async Task<IReadOnlyList<RamBlock>> FindFillableAsync(CancellationToken cancellationToken)
    {
        var blocks = (await _qemu.QueryRamBlocksAsync(cancellationToken)).Where(block => block.UsedLength >= Preload.LeastBlock).ToList();
        List<string> full = [];
        foreach (var block in blocks)
            EnsureFresh(block, new PageBitmap(block.UsedLength / Page.Size), full);
        return full.Count > 0 ? [] : blocks;
    }

    /// <summary>Begins to fill its large RAMBlocks before the image is published.</summary>
    /// <returns>Null when it has none, or they are not empty, so that the image has to be loaded as a whole.</returns>
    /// <exception cref="GuestException">Its memory cannot be opened.</exception>
    public async Task<Preload?> PreloadAsync(LoadPlan plan, Action begin, CancellationToken cancellationToken)
    {
        var blocks = await FindFillableAsync(cancellationToken);
        if (blocks.Count == 0)
            return null;
        var machine = await _qemu.QueryMachineAsync(cancellationToken);
        begin();
        return new Preload(plan.ImagePath, plan.Migration, machine, [.. blocks.Select(_qemu.OpenWaitingMemory)], _time);
    }

    /// <summary>Loads what a preload has left: the small RAMBlocks and the devices. All memory is proven then.</summary>
    /// <exception cref="ImageException">The image is damaged.</exception>
    /// <exception cref="GuestException">QEMU does not load it.</exception>
    public async Task LoadRestAsync(LoadPlan plan, MappedRamImage image, Preload preload, Guid imageId, DowntimeParts parts, CancellationToken cancellationToken)
    {
        var known = await StorageThread.RunAsync(() => preload.Finish(image, imageId, cancellationToken)).WaitAsync(cancellationToken);
        parts.End("preload");
        await LoadExcerptAsync(plan, image, name => !preload.Fills(name), cancellationToken);
        parts.End("load");
        var blocks = (await _qemu.QueryRamBlocksAsync(cancellationToken)).ToDictionary(block => block.Name);
        foreach (var block in image.Blocks.Where(block => !preload.Fills(block.Layout.Name)))
        {
            using var memory = _qemu.OpenMemory(blocks[block.Layout.Name]);
            Preload.Prove(plan.ImagePath, block, known.Blocks.First(entry => entry.Name == block.Layout.Name), memory);
        }

        parts.End("proof");
    }

    /// <summary>Loads the RAMBlocks that are no mappings of the image, and the devices.</summary>
    /// <exception cref="GuestException">QEMU does not load it.</exception>
    public Task LoadLazilyAsync(LoadPlan plan, MappedRamImage image, CancellationToken cancellationToken)
    {
        var mapped = image.Blocks.Where(block => LazyMemory.IsMapped(plan.IsLazy, block.Layout)).Select(block => block.Layout.Name).ToHashSet();
        return LoadExcerptAsync(plan, image, name => !mapped.Contains(name), cancellationToken);
    }

    private async Task LoadExcerptAsync(LoadPlan plan, MappedRamImage image, Func<string, bool> includes, CancellationToken cancellationToken)
    {
        var excerpt = Path.Combine(Path.GetDirectoryName(QmpPath)!, $".{plan.Migration}.excerpt");
        try
        {
            await StorageThread.RunAsync(() => WriteExcerpt(plan, image, includes, excerpt)).WaitAsync(cancellationToken);
            State = (await _qemu.LoadImageAsync(excerpt, new LoadOptions(0, DirectIo: false), cancellationToken)).Status;
        }
        finally
        {
            File.Delete(excerpt);
        }
    }

    private static void WriteExcerpt(LoadPlan plan, MappedRamImage image, Func<string, bool> includes, string path)
    {
        using var input = new FileImageInput(plan.ImagePath);
        using var output = new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        ImageExcerpt.Write(image, input, includes, output);
    }

    /// <summary>Proves that its memory is that of the image.</summary>
    /// <exception cref="ImageException">It is not, or nothing tells.</exception>
    public async Task ProveAsync(string imagePath, MappedRamImage image, Guid imageId, CancellationToken cancellationToken)
    {
        var proof = await LoadProof.ProveAsync(imagePath, image, imageId, _qemu, Environment.ProcessorCount, progress: null, cancellationToken);
        if (proof.Bad > 0)
            throw LoadProof.Failure(imagePath, proof);
    }

    /// <summary>Lets the guest run.</summary>
    /// <exception cref="GuestException">QEMU does not let it.</exception>
    public async Task ContinueAsync(string imagePath, CancellationToken cancellationToken)
    {
        try
        {
            State = (await _qemu.ContAsync(cancellationToken)).Status;
        }
        catch (GuestException e) when (e.Fault == GuestFault.CommandFailed)
        {
            await QueryStateAsync(cancellationToken);
            throw new GuestException(GuestFault.LoadFailed,
                $"QEMU has loaded {imagePath}, but cannot run the guest: {e.Message} If another QEMU has one of its disks open, such as the "
                + "guest's paused source, end that one; then send QMP 'cont' to this one, which holds the claim.", e)
            { QmpClass = e.QmpClass };
        }
    }

    /// <summary>Stops the guest.</summary>
    public async Task StopAsync(CancellationToken cancellationToken) => State = (await _qemu.StopAsync(cancellationToken)).Status;

    /// <summary>Ends it, and waits until its process is gone.</summary>
    /// <exception cref="GuestException">It does not end.</exception>
    public async Task EndAsync(CancellationToken cancellationToken)
    {
        if (_launched is not null)
            await EndAsync(_launched, cancellationToken);
        else
            await _qemu.QuitAsync(cancellationToken);
        State = "ended";
    }

    /// <summary>A monitor serves one client at a time, so ours goes first.</summary>
    private async Task EndAsync(LaunchedQemu launched, CancellationToken cancellationToken)
    {
        await _qemu.DisposeAsync();
        await launched.EndAsync(_time, cancellationToken);
    }

    /// <summary>Ends it if a silo launched it.</summary>
    public Task EndIfLaunchedAsync() => IsLaunched ? EndAsync(CancellationToken.None) : Task.CompletedTask;

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _qemu.DisposeAsync();
        _lock.Dispose();
    }

    /// <summary>The manifest's argument list has no secrets, so a guest that needs some cannot be launched from it.</summary>
    private static IReadOnlyList<string> ArgumentsOfManifest(LoadPlan plan)
    {
        if (!File.Exists(plan.ImagePath))
            throw ImageCheck.Missing(plan.ImagePath);
        return ImageManifest.Read(plan.ImagePath)?.Guest is { HasWholeArguments: true } guest ? guest.Arguments : throw new GuestException(GuestFault.Unsupported,
            $"No QEMU can be launched for guest {plan.Guest}: host {plan.Host} has no definition of it, and {plan.ImagePath} has no manifest with its whole argument "
            + $"list. Define it in the silo's configuration (Definitions:{plan.Guest}:Arguments), or start a QEMU with '-incoming defer' and name its monitor by --qmp.");
    }

    private static async Task<TargetGuest> ConnectAsync(
        LoadPlan plan, string qmpPath, string runtimeFolder, LaunchedQemu? launched, TimeProvider time, CancellationToken cancellationToken)
    {
        var qemu = await QemuGuest.ConnectAsync(plan.Guest, qmpPath, time, cancellationToken);
        try
        {
            var process = new ProcessIdentity(plan.Host, qemu.Pid, qemu.StartTime);
            return new TargetGuest(qemu, GuestLock.Take(runtimeFolder, process, plan.Guest), process, launched, time);
        }
        catch
        {
            await qemu.DisposeAsync();
            throw;
        }
    }

    /// <summary>QEMU leaves absent pages as they are, so memory that was used before would show through.</summary>
    private void EnsureFresh(RamBlock block, PageBitmap present, List<string> differences)
    {
        using var memory = _qemu.OpenMemory(block);
        var buffer = new byte[Page.Size];
        foreach (var run in memory.DataRuns())
        {
            for (var page = run.First; page < run.End; page++)
            {
                if (present[page])
                    continue;
                memory.Read(page * Page.Size, buffer);
                if (!buffer.AsSpan().ContainsAnyExcept((byte)0))
                    continue;
                differences.Add($"RAMBlock {block.Name} of the target is not empty (page {page}). Start QEMU on fresh memory.");
                return;
            }
        }
    }
}

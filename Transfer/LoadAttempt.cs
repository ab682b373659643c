using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>Loads an image into a waiting QEMU, after the checks that QEMU itself does not make, and lets the guest run.</summary>
/// <param name="plan">What to load and where.</param>
/// <param name="runtimeFolder">Where the locks lie that all silos of this machine share.</param>
/// <param name="time">The clock.</param>
public sealed class LoadAttempt(LoadPlan plan, string runtimeFolder, TimeProvider time) : IAsyncDisposable
{
    private readonly List<string> _notes = [];
    private readonly Lock _gate = new();
    private QemuGuest? _guest;
    private GuestLock? _lock;

    /// <summary>The guest's run state in QEMU's words, as last seen.</summary>
    public string GuestState { get; private set; } = "";

    /// <summary>Names of the image's RAMBlocks.</summary>
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

    /// <summary>Verifies the image, compares its manifest with the waiting QEMU, takes the claim, loads, and continues the guest.</summary>
    /// <exception cref="ImageException">The image is malformed, does not fit the target, or is claimed by another.</exception>
    /// <exception cref="GuestException">The target cannot be reached, does not wait, or fails to load.</exception>
    public async Task LoadAsync(CancellationToken cancellationToken)
    {
        var image = ReadImage();
        RamBlocks = [.. image.Blocks.Select(block => block.Layout.Name)];
        _guest = await QemuGuest.ConnectAsync(plan.Guest, plan.QmpPath, time, cancellationToken);
        var holder = new ProcessIdentity(plan.Host, _guest.Pid, _guest.StartTime);
        _lock = GuestLock.Take(runtimeFolder, holder, plan.Guest);
        GuestState = (await _guest.QueryRunStateAsync(cancellationToken)).Status;
        if (GuestState != "inmigrate")
        {
            throw new GuestException(GuestFault.Unsupported,
                $"The QEMU behind {plan.QmpPath} does not wait for a guest (it is '{GuestState}'). Start it with '-incoming defer'.");
        }

        // Otherwise a state that says "running" would start the guest before we hold the claim.
        await _guest.StopAsync(cancellationToken);
        var manifest = await CompareAsync(_guest, image, cancellationToken);
        if (!plan.IgnoreClaim && manifest is not null)
            await EnsureSourceStoppedAsync(manifest, cancellationToken);
        new ClaimRegister(plan.ImagePath, plan.Host, time)
            .Take(manifest?.ImageId ?? Guid.Empty, plan.Guest, plan.Migration, holder, plan.IgnoreClaim);
        await _guest.LoadImageAsync(plan.ImagePath, new LoadOptions(plan.Channels, plan.DirectIo), cancellationToken);
        if (!plan.Paused)
            await ContinueAsync(_guest, cancellationToken);
        GuestState = (await _guest.QueryRunStateAsync(cancellationToken)).Status;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_guest is not null)
            await _guest.DisposeAsync();
        _lock?.Dispose();
    }

    private async Task ContinueAsync(QemuGuest guest, CancellationToken cancellationToken)
    {
        try
        {
            await guest.ContAsync(cancellationToken);
        }
        catch (GuestException e) when (e.Fault == GuestFault.CommandFailed)
        {
            GuestState = (await guest.QueryRunStateAsync(cancellationToken)).Status;
            throw new GuestException(GuestFault.LoadFailed,
                $"QEMU has loaded {plan.ImagePath}, but cannot run the guest: {e.Message} If another QEMU has one of its disks open, such as the "
                + "guest's paused source, end that one; then send QMP 'cont' to this one, which holds the claim.", e)
            { QmpClass = e.QmpClass };
        }
    }

    private MappedRamImage ReadImage()
    {
        try
        {
            using var input = new FileImageInput(plan.ImagePath);
            var violations = ImageVerifier.Verify(input);
            return violations.Count == 0
                ? MappedRamImage.Read(input)
                : throw new ImageException(ImageFault.Malformed,
                    $"{plan.ImagePath} is not a well-formed image: at offset {violations[0].Offset}: {violations[0].Message}. "
                    + "See 'distmigrate verify' for all of it. It was not loaded, because QEMU would crash on it or lose memory.");
        }
        catch (ImageFormatException e)
        {
            throw new ImageException(ImageFault.Malformed, $"{plan.ImagePath} is not a well-formed image: {e.Message}", e);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new ImageException(ImageFault.NotFound, $"{plan.ImagePath} does not exist on this host. Check the path and the mount.", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new ImageException(ImageFault.AccessDenied, $"{plan.ImagePath} cannot be read: {e.Message} Give the silo's user access.", e);
        }
    }

    private async Task<ImageManifest?> CompareAsync(QemuGuest guest, MappedRamImage image, CancellationToken cancellationToken)
    {
        var target = await guest.QueryRamBlocksAsync(cancellationToken);
        List<string> differences = [];
        var machine = await guest.QueryMachineAsync(cancellationToken);
        if (machine != image.MachineName)
            differences.Add($"The machine type is {machine}; the image is of {image.MachineName}.");
        foreach (var block in image.Blocks)
        {
            var match = target.FirstOrDefault(candidate => candidate.Name == block.Layout.Name);
            if (match is null)
                differences.Add($"The target has no RAMBlock {block.Layout.Name} ({block.Layout.UsedLength} bytes).");
            else if (match.UsedLength != block.Layout.UsedLength)
                differences.Add($"RAMBlock {block.Layout.Name} has {match.UsedLength} bytes; in the image it has {block.Layout.UsedLength}.");
            else
                EnsureFresh(guest, match, block.Shadow, differences);
        }

        foreach (var block in target.Where(block => image.Blocks.All(saved => saved.Layout.Name != block.Name)))
            differences.Add($"The target has a RAMBlock {block.Name} ({block.UsedLength} bytes) that the image lacks.");

        var manifest = ImageManifest.Read(plan.ImagePath);
        if (manifest is null)
            Note("The image has no manifest, so vCPU count, CPU model, devices and disks of the target were not compared.");
        else
            differences.AddRange(GuestDescription.Differences(manifest.Guest, await guest.DescribeAsync(cancellationToken)).Except(differences));
        if (differences.Count == 0)
            return manifest;
        if (plan.IgnoreMismatch)
        {
            foreach (var difference in differences)
                Note(difference);
            return manifest;
        }

        throw new ImageException(ImageFault.Mismatch,
            $"The QEMU behind {plan.QmpPath} does not fit the image, and QEMU itself would not tell: {string.Join(' ', differences)} "
            + "Start it as the source was started, or use --ignore-mismatch.");
    }

    /// <summary>QEMU leaves absent pages as they are, so memory that was used before would show through.</summary>
    private static void EnsureFresh(QemuGuest guest, RamBlock block, PageBitmap present, List<string> differences)
    {
        using var memory = guest.OpenMemory(block);
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
            _notes.Add(note);
    }
}

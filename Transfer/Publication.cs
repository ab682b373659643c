using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>Decides once whether an attempt ends published or aborted. Thread-safe.</summary>
/// <param name="paths">The image and its side files.</param>
/// <param name="overwrite">Whether a published image of that name is replaced.</param>
/// <param name="files">The file system; this machine's by default.</param>
internal sealed class Publication(ImagePaths paths, bool overwrite, IFileSystem? files = null)
{
    private readonly IFileSystem _files = files ?? HostFileSystem.Instance;
    private readonly object _outcome = new();
    private bool _isAborted;
    private bool _isSettled;

    /// <summary>Whether the image stands under its final name. Whether that and its side files' names are durable, <see cref="Settle"/> tells.</summary>
    public bool IsPublished { get; private set; }

    /// <summary>What the operator should know of a publication that did not go smoothly; null when it did.</summary>
    public string? Remark { get; private set; }

    /// <summary>Runs a step that the outcome must not overtake, unless it is decided already.</summary>
    /// <returns>Whether it ran.</returns>
    public bool TryUndecided(Action step)
    {
        lock (_outcome)
        {
            if (IsPublished || _isAborted)
                return false;
            step();
            return true;
        }
    }

    /// <summary>Decides that the image is not published. Waits for a publication under way, however long that hangs.</summary>
    /// <returns>False when it is published.</returns>
    public bool Abort()
    {
        lock (_outcome)
        {
            _isAborted = !IsPublished;
            return _isAborted;
        }
    }

    /// <summary>Gives the image and its side files their final names and makes those durable; on a failure all names are taken back
    /// before anyone is told, and an image that was to be replaced stands there again. Where even that fails, the image stands there
    /// for everyone to load: then it counts as published, and the guest must not go on.</summary>
    /// <param name="image">The image, with everything durable.</param>
    /// <param name="interrupted">Whether the attempt was interrupted meanwhile, so that the guest may run on.</param>
    /// <exception cref="ImageException">The storage failed, or the name is taken.</exception>
    /// <exception cref="OperationCanceledException">The attempt was aborted or interrupted.</exception>
    public void Publish(ImageFile image, CancellationToken interrupted)
    {
        var isUndecided = TryUndecided(() =>
        {
            interrupted.ThrowIfCancellationRequested();
            Name(image);
        });
        if (!isUndecided)
            throw new OperationCanceledException("The attempt was aborted, so its image is not published.");
    }

    /// <summary>Makes the names of a published image durable, if they are not.</summary>
    /// <exception cref="ImageException">The storage failed: the image may be gone after a power cut, so its guest must not be ended.</exception>
    public void Settle()
    {
        lock (_outcome)
        {
            if (!IsPublished || _isSettled)
                return;
            Finish(paths, _files);
            _isSettled = true;
            Remark = null;
        }
    }

    /// <summary>Gives the side files of a published image their names, as its process could not, and makes all names durable.</summary>
    /// <exception cref="ImageException">The storage failed.</exception>
    public static void Finish(ImagePaths paths, IFileSystem? files = null) => StorageCalls.Translated(paths.Image, () =>
    {
        files ??= HostFileSystem.Instance;
        foreach (var (from, to) in paths.SideFiles)
        {
            if (files.Find(from) is not null)
                files.Rename(from, to, replace: true);
        }

        files.FSyncFolder(paths.Folder);
        files.Remove(paths.Journal);
        NameChange.Recover(files, Names(paths));
    });

    /// <summary>Takes the names of an image back that is not published, as its process could not, and makes that durable: before a page
    /// of it is written again, since nobody may find a changed image under its final name.</summary>
    /// <param name="paths">The image and its side files.</param>
    /// <param name="inode">The inode of the partial image.</param>
    /// <param name="files">The file system.</param>
    /// <exception cref="ImageException">The storage failed.</exception>
    public static void Withdraw(ImagePaths paths, ulong inode, IFileSystem files) => StorageCalls.Translated(paths.Image, () =>
    {
        if (files.Find(paths.Image) is { } there && there.Inode == inode)
        {
            foreach (var (_, to) in paths.SideFiles)
                files.Remove(to);
            NameChange.MoveBack(files, there, paths.Partial, paths.Image);
        }

        NameChange.Recover(files, Names(paths));
        files.FSyncFolder(paths.Folder);
    });

    private static IEnumerable<string> Names(ImagePaths paths) => [paths.Image, .. paths.SideFiles.Select(file => file.To)];

    /// <summary>The image first and its side files next: a reader in between finds an image without them, never one with wrong ones.</summary>
    private void Name(ImageFile image)
    {
        var names = new NameChange(_files);
        try
        {
            StorageCalls.Translated(paths.Image, () =>
            {
                image.CheckIdentity();
                foreach (var (_, to) in paths.SideFiles)
                    names.Remove(to);
                names.Move(paths.Partial, paths.Image, overwrite);
                foreach (var (from, to) in paths.SideFiles)
                    names.Move(from, to, replace: true);
                names.Commit(paths.Folder);
            });
        }
        catch (ImageException e)
        {
            TakeBack(names, image);
            throw e.Errno == Errno.EEXIST
                ? new ImageException(ImageFault.Exists,
                    $"{paths.Image} came into being while the guest was saved. Choose another name, or use --force to replace it.", e)
                : e;
        }

        IsPublished = _isSettled = true;
        try
        {
            names.RemoveSetAside();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Remark = $"What {paths.Image} replaced could not be removed: {e.Message} Remove {paths.Image}.previous and its side files by hand.";
        }
    }

    private void TakeBack(NameChange names, ImageFile image)
    {
        try
        {
            StorageCalls.Translated(paths.Image, names.TakeBack);
        }
        catch (ImageException e)
        {
            if (!image.IsAt(paths.Image))
                return;
            IsPublished = true;
            Remark = $"{paths.Image} could not be withdrawn: {e.Message} Its name may not outlive a power cut; check it before you end the guest.";
        }
    }
}

using System.Text.Json;
using DistMigrate.Guests;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>
/// The stop records of this host. A silo that starts restores, before anything else, the run state of every guest that its
/// predecessor stopped and whose image is unpublished.
/// </summary>
/// <param name="folder">A folder on the host's local disk; created when missing.</param>
/// <param name="time">The clock.</param>
public sealed class StopRecords(string folder, TimeProvider time)
{
    /// <summary>How long storage may take to tell whether an image is published.</summary>
    private static readonly TimeSpan StorageLimit = TimeSpan.FromSeconds(10);

    /// <summary>Makes a record durable.</summary>
    /// <exception cref="ImageException">The local disk failed; the guest must not be stopped.</exception>
    internal void Write(StopRecord record)
    {
        try
        {
            Directory.CreateDirectory(folder);
            DurableFile.Write(PathOf(record.Migration), JsonSerializer.SerializeToUtf8Bytes(record, TransferJson.Default.StopRecord));
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }

    /// <summary>Makes durable that the image is about to get its final name.</summary>
    /// <exception cref="ImageException">The local disk failed; the image must not be published.</exception>
    internal void MarkPublishing(string migration)
    {
        if (Find(migration) is { } record)
            Write(record with { IsPublishing = true });
    }

    /// <summary>Makes durable that the image has got it.</summary>
    /// <exception cref="ImageException">The local disk failed.</exception>
    internal void MarkPublished(string migration)
    {
        if (Find(migration) is { } record)
            Write(record with { IsPublished = true });
    }

    /// <summary>Forgets a record; there may be none.</summary>
    public void Forget(string migration)
    {
        var path = PathOf(migration);
        if (!File.Exists(path))
            return;
        File.Delete(path);
        Libc.FSyncFolder(folder);
    }

    /// <summary>The record of a migration, or null.</summary>
    /// <exception cref="ImageException">It cannot be read.</exception>
    internal StopRecord? Find(string migration) => SideFile.Read(PathOf(migration), TransferJson.Default.StopRecord);

    /// <summary>Whether the guest of a migration ran before we stopped it; true when nothing is on record.</summary>
    /// <exception cref="ImageException">The record cannot be read.</exception>
    public bool WasRunning(string migration) => Find(migration)?.WasRunning ?? true;

    /// <summary>Whether a record's image is published: its final name leads to the file that we wrote.</summary>
    /// <exception cref="ImageException">The storage does not tell.</exception>
    private async Task<bool> IsPublishedAsync(StopRecord record, CancellationToken cancellationToken)
    {
        if (!record.IsPublishing || record.IsPublished)
            return record.IsPublished;
        try
        {
            return await StorageThread.RunAsync(() => IsPublished(record)).WaitAsync(StorageLimit, time, cancellationToken);
        }
        catch (TimeoutException e)
        {
            throw new ImageException(ImageFault.Stalled,
                $"The storage did not tell within {StorageLimit.TotalSeconds:0} s whether {record.ImagePath} is published, so guest {record.Guest} stays stopped. Bring the storage back.", e);
        }
    }

    private static bool IsPublished(StopRecord record)
    {
        try
        {
            var identity = Libc.Identify(record.ImagePath);
            return identity.Device == record.Device && identity.Inode == record.Inode;
        }
        catch (ErrnoException e) when (e.Errno is Errno.ENOENT or Errno.ENOTDIR)
        {
            return false;
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }

    /// <summary>Restores the run state of every guest of an unpublished image. What was saved of it is kept.</summary>
    /// <param name="report">Told of each migration, with its record unless that cannot be read, and the error if the guest could
    /// not be restored.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public async Task RestoreAllAsync(Action<string, StopRecord?, Exception?> report, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(report);
        if (!Directory.Exists(folder))
            return;
        foreach (var path in Directory.GetFiles(folder, "*.json"))
        {
            var migration = Path.GetFileNameWithoutExtension(path);
            StopRecord? record = null;
            try
            {
                record = Find(migration);
                if (record is null || await IsPublishedAsync(record, cancellationToken))
                    continue;
                await RestoreAsync(record, cancellationToken);
                report(migration, record, null);
            }
            catch (Exception e) when (e is GuestException or ImageException or IOException)
            {
                report(migration, record, e);
            }
        }
    }

    /// <summary>Settles what a silo that has ended left of a migration: restores the guest's run state unless its image is published.</summary>
    /// <returns>Whether the image is published.</returns>
    /// <exception cref="GuestException">The guest does not answer.</exception>
    public async Task<bool> SettleAsync(string migration, CancellationToken cancellationToken)
    {
        if (Find(migration) is not { } record)
            return false;
        if (await IsPublishedAsync(record, cancellationToken))
        {
            await StorageThread.RunAsync(() => Publication.Finish(new ImagePaths(record.ImagePath)));
            return true;
        }

        await RestoreAsync(record, cancellationToken);
        return false;
    }

    private async Task RestoreAsync(StopRecord record, CancellationToken cancellationToken)
    {
        if (record.Process.IsAlive())
        {
            await using var guest = await QemuGuest.ConnectAsync(record.Guest, record.QmpPath, time, cancellationToken);
            if (guest.Pid == record.Process.Pid && guest.StartTime == record.Process.StartTime)
                await RestoreAsync(guest, record, cancellationToken);
        }

        // Once: who stops the guest from here on has a reason of his own.
        Forget(record.Migration);
    }

    /// <summary>The settings first: while a migration of ours is still ending in QEMU, it would refuse to continue the guest.</summary>
    private static async Task RestoreAsync(QemuGuest guest, StopRecord record, CancellationToken cancellationToken)
    {
        GuestException? failure = null;
        try
        {
            if (record.Settings is { } settings)
                await guest.RestoreMigrationSettingsAsync(settings, cancellationToken);
        }
        catch (GuestException e)
        {
            failure = e;
        }

        if (record.WasRunning && !(await guest.QueryRunStateAsync(cancellationToken)).Running)
            await guest.ContAsync(cancellationToken);
        if (failure is not null)
            throw failure;
    }

    private string PathOf(string migration) => Path.Combine(folder, migration + ".json");
}

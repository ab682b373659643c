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
    private StopRecord? Find(string migration) => SideFile.Read(PathOf(migration), TransferJson.Default.StopRecord);

    /// <summary>Whether a record's image is published: its final name leads to the file that we wrote.</summary>
    /// <exception cref="ImageException">The storage does not tell.</exception>
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

    /// <summary>Restores the run state of every guest of an unpublished image and removes the partial image.</summary>
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
                if (record is null || IsPublished(record))
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
        if (IsPublished(record))
        {
            FinishPublication(record.ImagePath);
            return true;
        }

        await RestoreAsync(record, cancellationToken);
        return false;
    }

    /// <summary>Names the manifest, where the silo ended between the image's rename and that.</summary>
    private static void FinishPublication(string imagePath)
    {
        var paths = new ImagePaths(imagePath);
        try
        {
            if (!File.Exists(paths.PartialManifest))
                return;
            Libc.Rename(paths.PartialManifest, paths.Manifest, replace: true);
            Libc.FSyncFolder(Path.GetDirectoryName(imagePath)!);
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }

    private async Task RestoreAsync(StopRecord record, CancellationToken cancellationToken)
    {
        if (record.WasRunning && record.Process.IsAlive())
        {
            await using var guest = await QemuGuest.ConnectAsync(record.Guest, record.QmpPath, time, cancellationToken);
            var state = await guest.QueryRunStateAsync(cancellationToken);
            if (!state.Running && guest.Pid == record.Process.Pid)
                await guest.ContAsync(cancellationToken);
        }

        var paths = new ImagePaths(record.ImagePath);
        if (File.Exists(paths.Partial) && Libc.Identify(paths.Partial) is var partial
            && partial.Inode == record.Inode && partial.Device == record.Device)
        {
            File.Delete(paths.Partial);
        }

        File.Delete(paths.PartialManifest);

        // Once: who stops the guest from here on has a reason of his own.
        Forget(record.Migration);
    }

    private string PathOf(string migration) => Path.Combine(folder, migration + ".json");
}

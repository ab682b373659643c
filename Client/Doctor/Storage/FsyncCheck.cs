using DistMigrate.Client.Values;
using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether fsync works, how long it takes, and whether it can have done what it says.</summary>
internal static class FsyncCheck
{
    private const int Bytes = 1 << 20;
    private const int Rounds = 5;

    /// <summary>No disk or network takes 1 MiB in less: that would be 20 GB/s.</summary>
    private static readonly TimeSpan Impossible = TimeSpan.FromMicroseconds(50);

    private static readonly TimeSpan Slow = TimeSpan.FromSeconds(1);

    public static Finding Look(StorageScene scene)
    {
        var data = new byte[Bytes];
        Random.Shared.NextBytes(data);
        var taken = new List<TimeSpan>();
        using (var file = scene.Files.Create("fsync"))
        {
            for (var round = 0; round < Rounds; round++)
            {
                Libc.PWriteExactly(file, data, (long)round * Bytes);
                var started = scene.Time.GetTimestamp();
                Libc.FSync(file);
                taken.Add(scene.Time.GetElapsedTime(started));
                scene.Cancellation.ThrowIfCancellationRequested();
            }

            file.CloseChecked();
        }

        try
        {
            Libc.FSyncFolder(scene.Folder);
        }
        catch (ErrnoException e)
        {
            return Finding.Failed(
                $"fsync of the folder fails: {ErrnoException.Describe(e.Errno)}.", "the name of a finished image would not be durable, so no save completes",
                "use a file system that has it");
        }

        taken.Sort();
        return Judge(taken[0], taken[Rounds / 2], scene.IsInMemory, scene.Mount is { } mount ? WriteCache.Of(mount) : null);
    }

    /// <param name="shortest">The shortest fsync of 1 MiB of fresh data.</param>
    /// <param name="median">The median one.</param>
    /// <param name="isInMemory">Whether the file system lies in memory.</param>
    /// <param name="cache">What the kernel says of the disk's write cache; null when there is no disk, or it does not tell.</param>
    internal static Finding Judge(TimeSpan shortest, TimeSpan median, bool isInMemory, string? cache)
    {
        var found = $"fsync of 1 MiB takes {DurationText.Format(median)} (median of {Rounds}), and fsync of the folder works"
            + (cache is null ? "." : $"; the disk's write cache is '{cache}'.");
        if (isInMemory)
            return Finding.Ok("fsync works, and has nothing to do: this is memory.");
        if (shortest < Impossible)
            return Finding.Warning(
                $"fsync of 1 MiB of fresh data returned within {shortest.TotalMicroseconds:0} µs, in which no disk or network can have taken it.",
                "a power cut may take images that were reported complete",
                "look for sync=disabled (ZFS), cache=unsafe (a virtual disk), libeatmydata (LD_PRELOAD), or an export with async; a cache with a battery is fine");
        return median > Slow
            ? Finding.Warning(found, "a guest that is saved stands still for several fsyncs", "look at what else uses this storage; a faster one shortens the downtime")
            : Finding.Ok(found);
    }
}

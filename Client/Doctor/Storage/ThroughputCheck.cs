using DistMigrate.Client.Values;
using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>About how fast one writer is, told as information: a save has several.</summary>
internal static class ThroughputCheck
{
    private const int Extent = 1 << 20;
    private const long MostBytes = 128L << 20;
    private const long LeastBytes = 16L << 20;

    // What was written by the page cache is made durable so often that no fsync takes long.
    private const long Epoch = 8L << 20;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(3);

    public static Finding Look(StorageScene scene)
    {
        // Little of what is free, so that nobody else runs out of space meanwhile.
        var space = Libc.Space(scene.Folder);
        var most = space.TotalBytes == 0 ? LeastBytes : Math.Min(MostBytes, space.AvailableBytes / 8);
        if (most < LeastBytes)
            return Finding.NotTried("There is too little space to measure with.");
        using var buffer = new AlignedBuffer(Extent);
        Random.Shared.NextBytes(buffer.Span);
        var (file, isDirect) = Open(scene.Files);
        using (file)
        {
            var started = scene.Time.GetTimestamp();
            var written = 0L;
            while (written < most && scene.Time.GetElapsedTime(started) < Limit)
            {
                scene.Cancellation.ThrowIfCancellationRequested();
                Libc.PWriteExactly(file, buffer.Span, written);
                written += Extent;
                if (written % Epoch == 0)
                    Libc.FSync(file);
            }

            Libc.FSync(file);
            var seconds = scene.Time.GetElapsedTime(started).TotalSeconds;
            file.CloseChecked();
            scene.Files.Remove(file.Path);
            return Finding.Ok(
                $"About {ByteSize.FormatRate(written / seconds)} by one writer ({ByteSize.Format(written)} in extents of 1 MiB, {(isDirect ? "past" : "by")} the page cache, fsync included).");
        }
    }

    private static (Descriptor File, bool IsDirect) Open(ProbeFiles files)
    {
        try
        {
            // As with saves, a file system that refuses O_DIRECT only at the write is found out by writing.
            var direct = files.Create("throughput", OpenFlags.Direct);
            using var probe = new AlignedBuffer(Extent);
            if (Libc.PWrite(direct, probe.Span, 0, out var errno) == Extent)
                return (direct, true);
            direct.Dispose();
            if (errno is not (Errno.EINVAL or Errno.EOPNOTSUPP))
                throw new ErrnoException("pwrite", errno == Errno.None ? Errno.ENOSPC : errno, direct.Path);
        }
        catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.EOPNOTSUPP)
        {
            // By the page cache then.
        }

        return (files.Create("throughput-cached"), false);
    }
}

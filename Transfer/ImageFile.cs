using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>
/// An image while it is written, under its partial name. Pages go through one descriptor for all writers, past the page cache
/// where the file system takes that; headers, bitmaps and tail go through another. Both live from the first write to the last
/// fsync, since Linux tells a lost write only to descriptors that were open when it was lost.
/// </summary>
public sealed class ImageFile : IDisposable
{
    private readonly Descriptor _meta;
    private readonly Descriptor _pages;
    private readonly FileIdentity _identity;

    private ImageFile(string path, Descriptor meta, Descriptor pages)
    {
        Path = path;
        _meta = meta;
        _pages = pages;
        _identity = Libc.Identify(meta);
    }

    /// <summary>The partial path.</summary>
    public string Path { get; }

    /// <summary>Whether pages are written past the page cache.</summary>
    public bool UsesDirectIo => !ReferenceEquals(_meta, _pages);

    /// <summary>Device and inode of the file.</summary>
    public FileIdentity Identity => _identity;

    /// <summary>Creates the partial file and takes its lock. One that a dead process left is removed first; one that a living
    /// process holds is not touched.</summary>
    /// <param name="path">The partial path.</param>
    /// <param name="length">Bytes up to the end of the last RAMBlock. The file gets that length at once, because a write that
    /// extends a file excludes all others in ext4 and xfs.</param>
    /// <param name="directIo">Whether pages are written past the page cache.</param>
    /// <exception cref="ImageException">It cannot be created, is held by another, or O_DIRECT was asked for in vain.</exception>
    public static ImageFile Create(string path, long length, DirectIoChoice directIo)
    {
        Descriptor? meta = null;
        Descriptor? pages = null;
        try
        {
            RemoveLeftover(path);
            meta = CreateLocked(path);
            Libc.Truncate(meta, length);
            pages = directIo == DirectIoChoice.Off ? null : OpenDirect(path);
            if (pages is null && directIo == DirectIoChoice.On)
            {
                throw new ImageException(ImageFault.NoDirectIo,
                    $"The file system of {path} does not take O_DIRECT writes of 4096 bytes. Use --direct-io auto or off.");
            }

            return new ImageFile(path, meta, pages ?? meta);
        }
        catch (Exception e)
        {
            pages?.Dispose();
            if (meta is not null)
            {
                File.Delete(path);
                meta.Dispose();
            }

            if (e is ErrnoException errno)
                throw ImageException.From(errno);
            throw;
        }
    }

    /// <summary>Writes whole pages at their place. Thread-safe.</summary>
    /// <param name="pages">Whole pages, in memory aligned to 4096 bytes.</param>
    /// <param name="offset">Where in the file; a multiple of 4096.</param>
    /// <exception cref="ImageException">The write failed or was short; none of these pages counts as written.</exception>
    internal void WritePages(ReadOnlySpan<byte> pages, long offset)
    {
        var written = Libc.PWrite(_pages, pages, offset, out var errno);
        if (written == pages.Length)
            return;
        throw ImageException.FromErrno("pwrite", written >= 0 ? Errno.ENOSPC : errno, Path);
    }

    /// <summary>Writes bytes outside the pages: headers, bitmaps, tail.</summary>
    /// <exception cref="ImageException">The write failed or was short.</exception>
    internal void WriteMeta(ReadOnlySpan<byte> bytes, long offset)
    {
        try
        {
            Libc.PWriteExactly(_meta, bytes, offset);
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }

    /// <summary>Reserves space for pages that are about to be written. A file system that cannot is no error.</summary>
    /// <exception cref="ImageException">No space is left, or the storage failed.</exception>
    internal void Allocate(long offset, long length)
    {
        var errno = Libc.Allocate(_meta, offset, length);
        if (errno is not (Errno.None or Errno.EOPNOTSUPP or Errno.ENOSYS))
            throw ImageException.FromErrno("fallocate", errno, Path);
    }

    /// <summary>Makes a range of pages read as zero: punched where the file system can, written otherwise.</summary>
    /// <exception cref="ImageException">The storage failed.</exception>
    internal void ZeroPages(long offset, long length)
    {
        if (TryPunch(offset, length))
            return;
        using var zeros = new AlignedBuffer((int)Math.Min(length, 1 << 20));
        zeros.Span.Clear();
        for (long done = 0; done < length; done += zeros.Span.Length)
            WritePages(zeros.Span[..(int)Math.Min(zeros.Span.Length, length - done)], offset + done);
    }

    /// <summary>Gives reserved space back that was not needed. What the file system cannot give back stays reserved.</summary>
    /// <exception cref="ImageException">The storage failed.</exception>
    internal void Release(long offset, long length) => TryPunch(offset, length);

    /// <summary>Makes everything durable that was written before the call, on every description. Never repeat it after a failure.</summary>
    /// <exception cref="ImageException">fsync failed on one of them, or the file was replaced or removed by another.</exception>
    internal void FSync()
    {
        try
        {
            if (UsesDirectIo)
                Libc.FSync(_pages);
            Libc.FSync(_meta);
            CheckIdentity();
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }

    /// <summary>The file's content, for its own check.</summary>
    internal IImageInput OpenInput() => new DescriptorInput(_meta);

    /// <summary>Gives the image its final name. It is not yet durable: the folder has to be synced.</summary>
    /// <param name="path">The final path, in the same folder.</param>
    /// <param name="overwrite">Whether an image of that name is replaced.</param>
    /// <exception cref="ImageException">The name is taken, or the storage failed.</exception>
    internal void Rename(string path, bool overwrite)
    {
        try
        {
            CheckIdentity();
            RenameOrLink(path, overwrite);
        }
        catch (ErrnoException e) when (e.Errno == Errno.EEXIST)
        {
            throw new ImageException(ImageFault.Exists,
                $"{path} came into being while the guest was saved. Choose another name, or use --force to replace it.", e);
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }

    /// <summary>Closes the descriptor of the pages and tells what close(2) said, which is where network storage may report a lost
    /// write. The other one keeps the lock and is only ever fsynced after its last write.</summary>
    /// <exception cref="ImageException">close failed.</exception>
    internal void ClosePages()
    {
        if (!UsesDirectIo)
            return;
        try
        {
            _pages.CloseChecked();
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }

    /// <summary>Removes the partial file, unless its name leads to another file by now.</summary>
    /// <exception cref="ImageException">It is still there and cannot be removed.</exception>
    internal void Discard()
    {
        try
        {
            if (IsAt(Path, _identity))
                File.Delete(Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ImageException(ImageFault.Storage,
                $"{Path} is kept, because it could not be removed: {e.Message.TrimEnd('.')}. Remove it by hand once the storage answers.", e);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _pages.Dispose();
        _meta.Dispose();
    }

    /// <summary>Gives a range back; false where the file system cannot.</summary>
    private bool TryPunch(long offset, long length)
    {
        var errno = Libc.PunchHole(_meta, offset, length);
        return errno switch
        {
            Errno.None => true,
            Errno.EOPNOTSUPP or Errno.ENOSYS => false,
            _ => throw ImageException.FromErrno("fallocate", errno, Path),
        };
    }

    /// <summary>Removes a partial file that a dead process left; one that a living process holds is not touched.</summary>
    /// <exception cref="ImageException">A living process holds it.</exception>
    /// <exception cref="ErrnoException">The storage failed.</exception>
    internal static void RemoveLeftover(string path)
    {
        if (!File.Exists(path))
            return;
        using var leftover = Libc.Open(path, OpenFlags.ReadWrite);

        // Somebody may have replaced it between the open and the lock; his is no leftover.
        if (!Libc.TryLock(leftover) || !IsAt(path, Libc.Identify(leftover)))
            throw Held(path);
        File.Delete(path);
    }

    private static Descriptor CreateLocked(string path)
    {
        var file = Libc.Open(path, OpenFlags.ReadWrite | OpenFlags.Create | OpenFlags.Exclusive);
        try
        {
            if (Libc.TryLock(file) && IsAt(path, Libc.Identify(file)))
                return file;
        }
        catch (ErrnoException)
        {
            using (file)
            {
                if (IsAt(path, Libc.Identify(file)))
                    File.Delete(path);
            }

            throw;
        }

        // Somebody took it for a leftover before it was locked, and removes it.
        file.Dispose();
        throw Held(path);
    }

    private static ImageException Held(string path) =>
        new(ImageFault.Busy, $"Another migration is writing {path}. Wait for it, cancel it, or choose another name.");

    private static Descriptor? OpenDirect(string path)
    {
        Descriptor direct;
        try
        {
            direct = Libc.Open(path, OpenFlags.WriteOnly | OpenFlags.Direct);
        }
        catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.EOPNOTSUPP)
        {
            return null;
        }

        // Some file systems take the flag and refuse the write. The first MiB holds headers only, which are written later.
        using var zeros = new AlignedBuffer(Page.Size);
        zeros.Span.Clear();
        var written = Libc.PWrite(direct, zeros.Span, 0, out var errno);
        if (written == Page.Size)
            return direct;
        direct.Dispose();
        if (written < 0 && errno is Errno.EINVAL or Errno.EOPNOTSUPP)
            return null;
        throw ImageException.FromErrno("pwrite", written < 0 ? errno : Errno.ENOSPC, path);
    }

    private void RenameOrLink(string path, bool overwrite)
    {
        try
        {
            Libc.Rename(Path, path, overwrite);
        }
        catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.ENOSYS && !overwrite)
        {
            // Network file systems lack RENAME_NOREPLACE; a second name excludes an existing one as well.
            Libc.Link(Path, path);
            File.Delete(Path);
        }
    }

    private void CheckIdentity()
    {
        // A file with a second name may be written, or kept, under that one by somebody else.
        if (!IsAt(Path, _identity) || Libc.Identify(_meta).Links != 1)
        {
            throw new ImageException(ImageFault.Replaced,
                $"{Path} was removed, replaced or linked by another process or host while it was written. Find out by whom, then save again.");
        }
    }

    private static bool IsAt(string path, FileIdentity identity)
    {
        try
        {
            return Libc.Identify(path).IsSameFile(identity);
        }
        catch (ErrnoException e) when (e.Errno == Errno.ENOENT)
        {
            return false;
        }
    }
}

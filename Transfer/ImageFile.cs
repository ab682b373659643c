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
    private readonly IFileSystem _files;
    private readonly IStoredFile _meta;
    private IStoredFile _pages;
    private readonly FileIdentity _identity;
    private bool _isDisposed;
    private readonly StorageWatch _watch;
    private volatile bool _arePagesClosed;

    private ImageFile(IFileSystem files, string path, IStoredFile meta, IStoredFile pages, StorageWatch watch)
    {
        _files = files;
        Path = path;
        _meta = meta;
        _pages = pages;
        _watch = watch;
        _identity = meta.Identify();
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
    /// <param name="watch">Watches the calls; owned by the caller.</param>
    /// <param name="files">The file system; this machine's by default.</param>
    /// <exception cref="ImageException">It cannot be created, is held by another, or O_DIRECT was asked for in vain.</exception>
    internal static ImageFile Create(string path, long length, DirectIoChoice directIo, StorageWatch watch, IFileSystem? files = null)
    {
        files ??= HostFileSystem.Instance;
        IStoredFile? meta = null;
        try
        {
            RemoveLeftover(files, path);
            meta = CreateLocked(files, path);
            return Prepare(files, path, meta, length, directIo, watch);
        }
        catch (Exception e)
        {
            if (meta is not null)
            {
                using (meta)
                    files.Remove(path);
            }

            if (e is ErrnoException errno)
                throw ImageException.From(errno);
            throw;
        }
    }

    /// <summary>Opens the partial file of an interrupted attempt again. What lies behind the last RAMBlock is cut off: until the end
    /// is ordered, that place is a hole, which QEMU refuses to load.</summary>
    /// <param name="path">The partial path.</param>
    /// <param name="inode">The inode of the file that was written; the device number may differ after another mount.</param>
    /// <param name="length">Bytes up to the end of the last RAMBlock.</param>
    /// <param name="directIo">Whether pages are written past the page cache.</param>
    /// <param name="watch">Watches the calls; owned by the caller.</param>
    /// <param name="files">The file system; this machine's by default.</param>
    /// <exception cref="ImageException">It is gone, is another file by now, or a living process holds it.</exception>
    internal static ImageFile Reopen(
        string path, ulong inode, long length, DirectIoChoice directIo, StorageWatch watch, IFileSystem? files = null)
    {
        files ??= HostFileSystem.Instance;
        IStoredFile? meta = null;
        try
        {
            meta = files.Open(path, OpenFlags.ReadWrite);
            if (meta.Identify().Inode != inode)
                throw Replaced(path);
            if (!meta.TryLock())
                throw Held(path);
            return Prepare(files, path, meta, length, directIo, watch);
        }
        catch (ErrnoException e)
        {
            meta?.Dispose();
            throw e.Errno == Errno.ENOENT ? Gone(path) : ImageException.From(e);
        }
        catch
        {
            meta?.Dispose();
            throw;
        }
    }

    /// <summary>Writes whole pages at their place. Thread-safe.</summary>
    /// <param name="pages">Whole pages, in memory aligned to 4096 bytes.</param>
    /// <param name="offset">Where in the file; a multiple of 4096.</param>
    /// <exception cref="ImageException">The write failed or was short; none of these pages counts as written.</exception>
    internal unsafe void WritePages(ReadOnlySpan<byte> pages, long offset)
    {
        fixed (byte* p = pages)
            _watch.Try(StorageOperation.Write, static write => write.File.Write(write.File._pages, write), (File: this, Bytes: (nint)p, pages.Length, Offset: offset));
    }

    /// <summary>Writes bytes outside the pages: headers, bitmaps, tail.</summary>
    /// <exception cref="ImageException">The write failed or was short.</exception>
    internal unsafe void WriteMeta(ReadOnlySpan<byte> bytes, long offset)
    {
        fixed (byte* p = bytes)
            _watch.Try(StorageOperation.Write, static write => write.File.Write(write.File._meta, write), (File: this, Bytes: (nint)p, bytes.Length, Offset: offset));
    }

    /// <summary>Reserves space for pages that are about to be written. A file system that cannot is no error.</summary>
    /// <exception cref="ImageException">No space is left, or the storage failed.</exception>
    internal void Allocate(long offset, long length) => _watch.Try(
        StorageOperation.Allocate,
        static range => range.File._meta.Allocate(range.Offset, range.Length) is var errno
            && errno is Errno.None or Errno.EOPNOTSUPP or Errno.ENOSYS ? null : ImageException.FromErrno("fallocate", errno, range.File.Path),
        (File: this, Offset: offset, Length: length));

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

    /// <summary>Gives reserved space back that was not needed, also after the interruption. What the file system cannot give back stays
    /// reserved.</summary>
    /// <exception cref="ImageException">The storage failed.</exception>
    internal void Release(long offset, long length) => _watch.Do(
        StorageOperation.Allocate,
        static range => range.File._meta.PunchHole(range.Offset, range.Length) is var errno
            && errno is Errno.None or Errno.EOPNOTSUPP or Errno.ENOSYS ? null : ImageException.FromErrno("fallocate", errno, range.File.Path),
        (File: this, Offset: offset, Length: length));

    /// <summary>Opens what is on storage for reading, past the page cache where the file system takes that.</summary>
    /// <exception cref="ErrnoException">It cannot be opened.</exception>
    internal IStoredFile OpenStored()
    {
        try
        {
            return _files.Open(Path, OpenFlags.ReadOnly | OpenFlags.Direct);
        }
        catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.EOPNOTSUPP)
        {
            return _files.Open(Path, OpenFlags.ReadOnly);
        }
    }

    /// <summary>Makes everything durable that was written before the call, on every description. Never repeat it after a failure.</summary>
    /// <exception cref="ImageException">fsync failed on one of them, or the file was replaced or removed by another.</exception>
    internal void FSync() => _watch.Do(
        StorageOperation.FSync,
        static file => Failure(() =>
        {
            if (file.UsesDirectIo && !file._arePagesClosed)
                file._pages.FSync();
            file._meta.FSync();
            file.CheckIdentity();
        }),
        this);

    /// <summary>The file's content, for its own check.</summary>
    internal IImageInput OpenInput() => new BorrowedInput(_meta);

    /// <summary>Takes pages again after a publication that was called off. Headers are to be written anew.</summary>
    /// <param name="length">Bytes up to the end of the last RAMBlock.</param>
    /// <exception cref="ImageException">The storage failed.</exception>
    internal void BeginAgain(long length) => _watch.Try(
        StorageOperation.Truncate,
        static state => Failure(() =>
        {
            state.File._meta.Truncate(state.Length);
            if (!state.File._arePagesClosed)
                return;
            state.File._pages = OpenDirect(state.File._files, state.File.Path)
                ?? throw new ImageException(ImageFault.NoDirectIo, $"The file system of {state.File.Path} does not take O_DIRECT writes any more.");
            state.File._arePagesClosed = false;
        }),
        (File: this, Length: length));

    /// <summary>Closes the descriptor of the pages and tells what close(2) said, which is where network storage may report a lost
    /// write. The other one keeps the lock and is only ever fsynced after its last write.</summary>
    /// <exception cref="ImageException">close failed.</exception>
    internal void ClosePages()
    {
        if (!UsesDirectIo)
            return;
        _arePagesClosed = true;
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
            // A network file system may tell for a moment that the name of a file that is gone still leads to it, and not to another's.
            if (!_isDisposed && _meta.Identify().Links == 0)
                return;
            if (IsAt(Path))
                _files.Remove(Path);
        }
        catch (Exception e) when (e is ErrnoException or IOException or UnauthorizedAccessException)
        {
            throw new ImageException(ImageFault.Storage, e.Message, e);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _isDisposed = true;
        _pages.Dispose();
        _meta.Dispose();
    }

    /// <summary>Gives a range back; false where the file system cannot.</summary>
    private unsafe bool TryPunch(long offset, long length)
    {
        var isPossible = true;
        _watch.Try(
            StorageOperation.Allocate,
            static punch =>
            {
                var errno = punch.File._meta.PunchHole(punch.Offset, punch.Length);
                if (errno is Errno.None)
                    return null;
                if (errno is not (Errno.EOPNOTSUPP or Errno.ENOSYS))
                    return ImageException.FromErrno("fallocate", errno, punch.File.Path);
                *(bool*)punch.IsPossible = false;
                return null;
            },
            (File: this, Offset: offset, Length: length, IsPossible: (nint)(&isPossible)));
        return isPossible;
    }

    /// <summary>A short write is an error of all its bytes: how many of them are on storage is not known.</summary>
    private unsafe ImageException? Write(IStoredFile file, (ImageFile File, nint Bytes, int Length, long Offset) write)
    {
        var written = file.Write(new ReadOnlySpan<byte>((void*)write.Bytes, write.Length), write.Offset, out var errno);
        if (written == write.Length)
            return null;
        return ImageException.FromErrno("pwrite", written switch { < 0 => errno, 0 => Errno.ENOSPC, _ => Errno.EIO }, Path);
    }

    private static ImageException? Failure(Action calls)
    {
        try
        {
            calls();
            return null;
        }
        catch (ErrnoException e)
        {
            return ImageException.From(e);
        }
        catch (ImageException e)
        {
            return e;
        }
    }

    private static ImageFile Prepare(IFileSystem files, string path, IStoredFile meta, long length, DirectIoChoice directIo, StorageWatch watch)
    {
        IStoredFile? pages = null;
        try
        {
            meta.Truncate(length);
            pages = directIo == DirectIoChoice.Off ? null : OpenDirect(files, path);
            if (pages is null && directIo == DirectIoChoice.On)
            {
                throw new ImageException(ImageFault.NoDirectIo,
                    $"The file system of {path} does not take O_DIRECT writes of 4096 bytes. Use --direct-io auto or off.");
            }

            return new ImageFile(files, path, meta, pages ?? meta, watch);
        }
        catch
        {
            pages?.Dispose();
            throw;
        }
    }

    /// <summary>Removes a partial file that a dead process left; one that a living process holds is not touched.</summary>
    /// <exception cref="ImageException">A living process holds it.</exception>
    /// <exception cref="ErrnoException">The storage failed.</exception>
    internal static void RemoveLeftover(IFileSystem files, string path)
    {
        if (files.Find(path) is null)
            return;
        using var leftover = files.Open(path, OpenFlags.ReadWrite);

        // Somebody may have replaced it between the open and the lock; his is no leftover.
        if (!leftover.TryLock() || !IsAt(files, path, leftover.Identify()))
            throw Held(path);
        files.Remove(path);
    }

    private static IStoredFile CreateLocked(IFileSystem files, string path)
    {
        var file = files.Open(path, OpenFlags.ReadWrite | OpenFlags.Create | OpenFlags.Exclusive);
        try
        {
            if (file.TryLock() && IsAt(files, path, file.Identify()))
                return file;
        }
        catch (ErrnoException)
        {
            using (file)
            {
                if (IsAt(files, path, file.Identify()))
                    files.Remove(path);
            }

            throw;
        }

        // Somebody took it for a leftover before it was locked, and removes it.
        file.Dispose();
        throw Held(path);
    }

    private static ImageException Held(string path) =>
        new(ImageFault.Busy, $"Another migration is writing {path}. Wait for it, cancel it, or choose another name.");

    private static IStoredFile? OpenDirect(IFileSystem files, string path)
    {
        IStoredFile direct;
        try
        {
            direct = files.Open(path, OpenFlags.WriteOnly | OpenFlags.Direct);
        }
        catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.EOPNOTSUPP)
        {
            return null;
        }

        // Some file systems take the flag and refuse the write. The first MiB holds headers only, which are written later.
        using var zeros = new AlignedBuffer(Page.Size);
        zeros.Span.Clear();
        var written = direct.Write(zeros.Span, 0, out var errno);
        if (written == Page.Size)
            return direct;
        direct.Dispose();
        if (written < 0 && errno is Errno.EINVAL or Errno.EOPNOTSUPP)
            return null;
        throw ImageException.FromErrno("pwrite", written < 0 ? errno : Errno.ENOSPC, path);
    }

    /// <summary>Whether a name leads to this file.</summary>
    /// <exception cref="ErrnoException">The storage does not tell.</exception>
    internal bool IsAt(string path) => IsAt(_files, path, _identity);

    /// <summary>Whether its name still leads to this file, and no other name does.</summary>
    /// <exception cref="ImageException">It does not.</exception>
    /// <exception cref="ErrnoException">The storage does not tell.</exception>
    internal void CheckIdentity()
    {
        // A file with a second name may be written, or kept, under that one by somebody else.
        if (!IsAt(Path) || _meta.Identify().Links != 1)
            throw Replaced(Path);
    }

    /// <summary>What was written is not there, which is so as well while its storage is not mounted.</summary>
    internal static ImageException Gone(string path) => new(ImageFault.Stale,
        $"{path} is not there. Mount its storage again; or, if somebody removed the file, cancel this migration and save again.");

    private static ImageException Replaced(string path) => new(ImageFault.Replaced,
        $"{path} was removed, replaced or linked by another process or host while it was written. Find out by whom, then save again.");

    private static bool IsAt(IFileSystem files, string path, FileIdentity identity) =>
        files.Find(path) is { } there && there.IsSameFile(identity);

    /// <summary>Reads through the descriptor that wrote: the name may lead elsewhere.</summary>
    private sealed class BorrowedInput(IStoredFile file) : IImageInput
    {
        public long Length { get; } = file.Length;

        public void ReadExactly(long offset, Span<byte> buffer) => file.ReadExactly(offset, buffer);

        public void Dispose()
        {
            // The descriptor belongs to the image file.
        }
    }
}

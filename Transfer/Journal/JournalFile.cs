using System.Buffers;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Posix;

namespace DistMigrate.Transfer.Journal;

/// <summary>
/// <c>IMAGE.journal</c> while a migration writes its image: what is durable, append-only. Thread-safe; every call but the properties may
/// block in storage.
/// </summary>
/// <remarks>
/// Keep to this order, or a journal that survives a crash tells of pages that the image does not hold: an fsync of the image, then
/// <see cref="AppendDurable"/>; <see cref="AppendInvalid"/>, <see cref="Flush"/>, and only then the write. The caller changes the state that it dumps
/// before it appends. For a page, what is appended later counts.
/// After a failure nobody knows what of the file is on storage, and an fsync that is repeated would tell a lie: every further call throws
/// the same error, until <see cref="Rewrite"/> has made a new file from the caller's state. A call that threw is made again after that.
/// </remarks>
internal sealed class JournalFile : IDisposable
{
    /// <summary>What is left to repeat while all others wait.</summary>
    private const long SmallRest = 256 << 10;

    private readonly IFileSystem _files;
    private readonly Lock _gate = new();
    private readonly Lock _rewriteGate = new();
    private JournalAppender _active;
    private FileIdentity _identity;
    private volatile ImageException? _failure;
    private long _length;
    private bool _disposed;

    private JournalFile(IFileSystem files, string path, JournalAppender active)
    {
        _files = files;
        Path = path;
        _active = active;
        _identity = active.File.Identify();
        _length = active.Length;
        Identity = active.Encoder.Identity;
        TotalRam = Identity.Blocks.Sum(block => block.Pages) * Page.Size;
    }

    public string Path { get; }

    /// <summary>Whose journal it is.</summary>
    public JournalIdentity Identity { get; }

    /// <summary>Bytes of guest memory that it speaks of.</summary>
    public long TotalRam { get; }

    /// <summary>The token in force.</summary>
    public JournalToken Token
    {
        get
        {
            lock (_gate)
                return _active.Encoder.Token;
        }
    }

    /// <summary>Bytes of the journal. Never waits.</summary>
    public long Length => Volatile.Read(ref _length);

    /// <summary>Why it takes no more, or null. Never waits.</summary>
    public ImageException? Failure => _failure;

    /// <summary>
    /// Whether a <see cref="Rewrite"/> is due before an epoch that invalidates or adds that many pages is opened. Old and new file together then
    /// stay below 1.2 % of guest memory. Never waits.
    /// </summary>
    public bool NeedsRewriteFor(long pages) => Length + (pages * JournalEntry.Length) > (TotalRam / 1000 * 78 / 10) + (64 << 10);

    /// <summary>Begins a journal, durable with its name. What a dead process left there without a durable record is removed first.</summary>
    /// <param name="path">The journal's path.</param>
    /// <param name="identity">Whose it is.</param>
    /// <param name="token">Who writes it.</param>
    /// <param name="files">The file system; this machine's by default.</param>
    /// <exception cref="ImageException">Busy: another process writes it. Exists: there is one that a migration can take up again.
    /// Or the storage failed.</exception>
    public static JournalFile Create(string path, JournalIdentity identity, JournalToken token, IFileSystem? files = null)
    {
        files ??= HostFileSystem.Instance;
        return Translate(path, () =>
        {
            RemoveLeftover(files, path);
            JournalAppender? appender = null;
            try
            {
                var journal = new JournalFile(files, path, appender = Begin(files, path, new JournalEncoder(identity, token)));
                appender.Drain();
                appender.File.FSync();
                files.FSyncFolder(FolderOf(path));
                journal.Seal();
                return journal;
            }
            catch when (appender is not null)
            {
                using (appender)
                    RemoveIfOurs(files, path, appender.File);
                throw;
            }
        });
    }

    /// <summary>Takes a journal up again: cuts off its torn tail and makes the rest durable.</summary>
    /// <param name="path">The journal's path.</param>
    /// <param name="visitor">Is told what it says; void when this throws.</param>
    /// <param name="files">The file system; this machine's by default.</param>
    /// <returns>Null when there is none, or none of it ever was durable: begin from zero with <see cref="Create"/>.</returns>
    /// <exception cref="ImageException">Busy: another process writes it. Malformed: it is damaged or complete. Or the storage failed.</exception>
    public static JournalFile? TryOpen(string path, IJournalVisitor visitor, IFileSystem? files = null)
    {
        files ??= HostFileSystem.Instance;
        return Translate(path, () =>
        {
            var file = OpenLocked(files, path);
            try
            {
                if (file is null)
                    return null;
                var end = Replay(path, file, visitor);
                if (end.IsEmpty)
                {
                    file.Dispose();
                    return null;
                }

                if (end.ImageLength is not null)
                    throw new ImageException(ImageFault.Malformed, $"{path} holds the checksums of a finished image, not a journal. Move it away.");
                files.Remove(NewPath(path));
                MakeDurable(file, end);

                // Its writer may have died between the rename of a rewrite and the fsync of the folder.
                files.FSyncFolder(FolderOf(path));
                return new JournalFile(files, path, new JournalAppender(file, end));
            }
            catch
            {
                file?.Dispose();
                throw;
            }
        });
    }

    /// <summary>Whether a token comes after another that is obeyed: with a lower number, or with the same number and another id.</summary>
    public static bool IsTooLate(JournalToken token, JournalToken current) => token != current && token.Number <= current.Number;

    /// <summary>Makes a token durable, so that no other with its number or a lower one is obeyed from here on. The same again changes nothing.</summary>
    /// <exception cref="ImageException">Fenced: another took over. Or the storage failed.</exception>
    public void TakeOver(JournalToken token)
    {
        lock (_gate)
        {
            ThrowIfUnusable();
            var current = _active.Encoder.Token;
            if (token == current)
                return;
            if (IsTooLate(token, current))
            {
                throw new ImageException(ImageFault.Fenced,
                    $"{Path} is written with token {current.Number} ({current.Id}); token {token.Number} ({token.Id}) came too late. "
                    + $"Another coordinator is in charge of migration {Identity.Migration}; ask that one.");
            }

            Guarded(() =>
            {
                _active.Append(_active.Encoder.TakeOver(token));
                FlushLocked();
            });
        }
    }

    /// <summary>Tells which pages a good fsync of the image has made durable. Durable here after the next <see cref="Flush"/>.</summary>
    /// <param name="block">The RAMBlock's index in the identity.</param>
    /// <param name="epoch">The fsync epoch.</param>
    /// <param name="runs">The pages, ascending and apart.</param>
    /// <param name="entries">What is known of them; called without any lock of the journal.</param>
    /// <exception cref="ImageException">The journal is broken, or breaks by this.</exception>
    public void AppendDurable(int block, uint epoch, IReadOnlyList<PageRun> runs, PageEntries entries)
    {
        var buffer = ArrayPool<UInt128>.Shared.Rent(JournalAppender.ChunkPages);
        try
        {
            foreach (var chunk in JournalAppender.ChunksOf(runs))
            {
                var values = buffer.AsSpan(0, (int)chunk.Pages.Count);
                values.Clear();
                JournalAppender.Fill(chunk, runs, entries, values);
                Locked(() => _active.DurableChunk(block, epoch, chunk, buffer.AsSpan(0, (int)chunk.Pages.Count)));
            }
        }
        finally
        {
            ArrayPool<UInt128>.Shared.Return(buffer);
        }
    }

    /// <summary>Tells which pages are about to be overwritten, data or hole. Overwrite them after the next <see cref="Flush"/>.</summary>
    /// <param name="block">The RAMBlock's index in the identity.</param>
    /// <param name="runs">The pages.</param>
    /// <exception cref="ImageException">The journal is broken, or breaks by this.</exception>
    public void AppendInvalid(int block, IReadOnlyList<PageRun> runs) => Locked(() => _active.Invalid(block, runs));

    /// <summary>Tells a step of the switch-over. Durable after the next <see cref="Flush"/>.</summary>
    /// <exception cref="ImageException">The journal is broken, or breaks by this.</exception>
    public void AppendStep(uint step, DateTimeOffset time, string text) => Locked(() => _active.Step(step, time, text));

    /// <summary>Makes all that was appended durable.</summary>
    /// <exception cref="ImageException">The journal is broken, or breaks by this; or its name leads to another file.</exception>
    public void Flush() => Locked(FlushLocked);

    /// <summary>
    /// Replaces the file by one that says only what is so now; also the way on after a failure. What others append meanwhile goes to the old file and
    /// is repeated in the new one. They wait only for the last small rest, and for the new file to take the old one's name.
    /// </summary>
    /// <param name="dump">Tells what is durable, and the steps of the switch-over that count. It is called without any lock of the journal.</param>
    /// <exception cref="ImageException">The storage failed, or the journal broke meanwhile. What was there before still is.</exception>
    public void Rewrite(Action<JournalAppender> dump)
    {
        lock (_rewriteGate)
        {
            JournalEncoder encoder;
            ImageException? failure;
            long from;
            lock (_gate)
            {
                ObjectDisposedException.ThrowIf(_disposed, this);
                failure = _failure;
                if (failure is null)
                    Guarded(_active.Drain);
                from = _active.Length;
                encoder = new JournalEncoder(Identity, _active.Encoder.Token);
            }

            Translate(Path, () =>
            {
                Replace(encoder, dump, from, failure);
                return true;
            });
        }
    }

    /// <summary>Writes the checksums of the finished image: every page, durable but for their name.</summary>
    /// <param name="path">Where, under a temporary name; what is there is replaced.</param>
    /// <param name="imageLength">The image's length in bytes.</param>
    /// <param name="dump">Tells every page of every RAMBlock.</param>
    /// <exception cref="ImageException">The storage failed. The journal is as it was.</exception>
    public void Finish(string path, long imageLength, Action<JournalAppender> dump) => Translate(path, () =>
    {
        _files.Remove(path);
        using var appender = Begin(_files, path, new JournalEncoder(Identity, Token));
        try
        {
            dump(appender);
            appender.Append(appender.Encoder.Complete(imageLength));
            appender.Append(appender.Encoder.Seal());
            appender.Drain();
            appender.File.FSync();
            appender.File.CloseChecked();
            return true;
        }
        catch
        {
            _files.Remove(path);
            throw;
        }
    });

    /// <summary>Removes the file, once the image is published or given up.</summary>
    /// <exception cref="ImageException">It is still there.</exception>
    public void Remove()
    {
        lock (_gate)
        {
            Translate(Path, () =>
            {
                if (_files.Find(Path) is { } there && there.IsSameFile(_identity))
                    _files.Remove(Path);
                return true;
            });
            Dispose();
        }
    }

    /// <summary>Closes the file, and so gives up its lock. What was not flushed is lost.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            _active.Dispose();
        }
    }

    private static string NewPath(string path) => path + ".new";

    private static string FolderOf(string path) => System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;

    private void Replace(JournalEncoder encoder, Action<JournalAppender> dump, long from, ImageException? failure)
    {
        var newPath = NewPath(Path);
        _files.Remove(newPath);
        JournalAppender? fresh = null;
        try
        {
            fresh = Begin(_files, newPath, encoder);
            dump(fresh);
            fresh.Drain();
            fresh.File.FSync();
            while (failure is null)
            {
                long to;
                lock (_gate)
                {
                    ThrowIfUnusable();
                    Guarded(_active.Drain);
                    to = _active.Length;
                }

                if (to - from < SmallRest)
                    break;
                Repeat(fresh, from, to);
                fresh.Drain();
                fresh.File.FSync();
                from = to;
            }

            lock (_gate)
            {
                ObjectDisposedException.ThrowIf(_disposed, this);
                if (_failure is not null && failure is null)
                    throw _failure;
                if (failure is null)
                {
                    Guarded(_active.Drain);
                    Repeat(fresh, from, _active.Length);
                }

                // The seal may stand before the fsync, since nobody reads the file before it has the name.
                fresh.Append(fresh.Encoder.Seal());
                fresh.Drain();
                fresh.File.FSync();
                TakeName(newPath, ref fresh);
            }
        }
        catch
        {
            if (fresh is not null)
            {
                using (fresh)
                    RemoveIfOurs(_files, newPath, fresh.File);
            }

            throw;
        }
    }

    /// <summary>Gives the new file the journal's name, and goes on with it.</summary>
    private void TakeName(string newPath, ref JournalAppender? fresh)
    {
        var identity = fresh!.File.Identify();

        // After another mount the device number differs, and the inode's says nothing.
        if (_files.Find(Path) is { } there && there.Device == _identity.Device && !there.IsSameFile(_identity))
            throw Replaced();
        try
        {
            _files.Rename(newPath, Path, replace: true);
        }
        catch (ErrnoException) when (_files.Find(Path) is { } now && now.IsSameFile(identity))
        {
            // Network storage may carry a rename out and tell of an error; then the new file is the journal.
        }

        _active.Dispose();
        _active = fresh;
        _identity = identity;
        fresh = null;
        _failure = null;
        Volatile.Write(ref _length, _active.Length);
        Guarded(() => _files.FSyncFolder(FolderOf(Path)));
    }

    /// <summary>Repeats the records that stand in a part of the old file.</summary>
    private void Repeat(JournalAppender fresh, long from, long to)
    {
        var buffer = ArrayPool<byte>.Shared.Rent((int)Math.Min(JournalRecord.MaxLength, to - from));
        try
        {
            while (from < to)
            {
                var filled = (int)Math.Min(buffer.Length, to - from);
                _active.File.ReadExactly(from, buffer.AsSpan(0, filled));
                var rest = (ReadOnlySpan<byte>)buffer.AsSpan(0, filled);
                while (JournalRecord.TryParse(rest, _active.Encoder.Seed, out var record))
                {
                    rest = rest[record.Length..];
                    if (record.Type != JournalRecordType.Seal)
                        fresh.Repeat(record);
                }

                if (rest.Length == filled)
                {
                    throw new ImageException(ImageFault.Storage,
                        $"{Path} no longer holds at {from} what was written there. Look at the storage; the journal is written anew.");
                }

                from += filled - rest.Length;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void FlushLocked()
    {
        _active.Drain();
        _active.File.FSync();
        if (_files.Find(Path) is not { } there || !there.IsSameFile(_identity))
            throw Replaced();
        Seal();
    }

    private void Seal()
    {
        _active.Append(_active.Encoder.Seal());
        _active.Drain();
        Volatile.Write(ref _length, _active.Length);
    }

    private void Locked(Action action)
    {
        lock (_gate)
        {
            ThrowIfUnusable();
            Guarded(action);
        }
    }

    /// <summary>Does something to the file; a failure breaks the journal. A caller's mistake does not: it is found before anything is written.</summary>
    private void Guarded(Action action)
    {
        try
        {
            action();
            Volatile.Write(ref _length, _active.Length);
        }
        catch (ErrnoException e)
        {
            throw _failure = ImageException.From(e);
        }
        catch (ImageException e)
        {
            _failure = e;
            throw;
        }
    }

    private void ThrowIfUnusable()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_failure is { } failure)
            throw failure;
    }

    private ImageException Replaced() => new(ImageFault.Replaced,
        $"{Path} was removed or replaced by another process or host while it was written. Find out by whom, then save again.");

    /// <summary>Makes a file, takes its lock, and begins a journal in it.</summary>
    private static JournalAppender Begin(IFileSystem files, string path, JournalEncoder encoder)
    {
        var file = files.Open(path, OpenFlags.ReadWrite | OpenFlags.Create | OpenFlags.Exclusive);
        try
        {
            if (file.TryLock() && IsAt(files, path, file))
                return new JournalAppender(file, encoder);
        }
        catch
        {
            using (file)
                RemoveIfOurs(files, path, file);
            throw;
        }

        // Somebody took it for a leftover before it was locked, and removes it.
        file.Dispose();
        throw Busy(path, null);
    }

    private static void RemoveLeftover(IFileSystem files, string path)
    {
        using var file = OpenLocked(files, path);
        if (file is null)
            return;
        var state = new JournalState();
        if (!Replay(path, file, state).IsEmpty)
        {
            throw new ImageException(ImageFault.Exists,
                $"{path} holds what migration {state.Identity!.Migration} of guest {state.Identity.Guest} has saved. Resume that migration, or remove its files with gc.");
        }

        files.Remove(path);
    }

    /// <summary>Opens what a name leads to and takes its lock.</summary>
    /// <returns>Null when there is no such file.</returns>
    /// <exception cref="ImageException">Another holds it.</exception>
    private static IStoredFile? OpenLocked(IFileSystem files, string path)
    {
        while (true)
        {
            IStoredFile file;
            try
            {
                file = files.Open(path, OpenFlags.ReadWrite);
            }
            catch (ErrnoException e) when (e.Errno == Errno.ENOENT)
            {
                return null;
            }

            try
            {
                if (!file.TryLock())
                    throw Busy(path, file);
                if (IsAt(files, path, file))
                    return file;
            }
            catch
            {
                file.Dispose();
                throw;
            }

            // It was replaced between the open and the lock: judge the new one.
            file.Dispose();
        }
    }

    private static ImageException Busy(string path, IStoredFile? file)
    {
        var state = new JournalState();
        try
        {
            if (file is not null)
                JournalReader.Replay(file, state);
        }
        catch (Exception e) when (e is JournalException or IOException)
        {
            // Its owner is writing it, so it may end anywhere; the identity stands at its start.
        }

        var owner = state.Identity is { } identity
            ? $"Migration {identity.Migration} of guest {identity.Guest} on host {identity.Host}"
            : "Another migration";
        return new ImageException(ImageFault.Busy, $"{owner} is writing {path}. Wait for it, cancel it, or choose another name.");
    }

    private static JournalEnd Replay(string path, IStoredFile file, IJournalVisitor visitor)
    {
        try
        {
            return JournalReader.Replay(file, visitor);
        }
        catch (JournalException e)
        {
            throw new ImageException(ImageFault.Malformed,
                $"{path} can't be used: {e.Message} The migration has to begin again from zero; move the file away first.", e);
        }
    }

    /// <summary>Cuts the torn tail off, and writes what follows the last seal once more: the fsync before it may have failed, after which the
    /// page cache holds as clean what the storage does not have.</summary>
    private static void MakeDurable(IStoredFile file, JournalEnd end)
    {
        if (end.IsTorn)
            file.Truncate(end.ValidLength);
        var buffer = new byte[64 << 10];
        for (var offset = end.SealOffset; offset < end.ValidLength;)
        {
            var piece = buffer.AsSpan(0, (int)Math.Min(buffer.Length, end.ValidLength - offset));
            file.ReadExactly(offset, piece);
            file.Write(piece, offset);
            offset += piece.Length;
        }

        file.FSync();
    }

    private static bool IsAt(IFileSystem files, string path, IStoredFile file) =>
        files.Find(path) is { } there && there.IsSameFile(file.Identify());

    private static void RemoveIfOurs(IFileSystem files, string path, IStoredFile file)
    {
        if (IsAt(files, path, file))
            files.Remove(path);
    }

    private static T Translate<T>(string path, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ImageException(ImageFault.Storage, $"{path}: {e.Message} Look at the storage, then try again.", e);
        }
    }
}

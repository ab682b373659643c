using DistMigrate.MappedRam;
using DistMigrate.Posix;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>
/// One folder on a storage that does what storage may: it forgets in a crash what was not synced, sector by sector and in any order;
/// it fails when told to, short, or only in its answer; it loses what it took, and tells that once, in an fsync or close of the
/// description that wrote. After a failed fsync it takes for clean what it does not have, as Linux does.
/// </summary>
internal sealed class ModelStorage(Random random) : IFileSystem
{
    private readonly Random _random = random;
    private readonly List<Action<Dictionary<string, ModelContent>>> _unsynced = [];
    private Dictionary<string, ModelContent> _names = [];
    private readonly Dictionary<string, ModelContent> _durableNames = [];
    private ulong _inodes;
    private int _generation;
    private bool _isDown;

    /// <summary>Asked before each call that can fail; an error makes it fail.</summary>
    public Func<string, Errno> Fault { get; set; } = _ => Errno.None;

    /// <summary>Runs while a call is under way; true when the machine ends in it.</summary>
    public Func<string, bool> Within { get; set; } = _ => false;

    /// <summary>Whether a call on names that fails may have been carried out all the same, as when network storage loses the answer.</summary>
    public bool LosesAnswers { get; init; }

    /// <summary>How often each call was made.</summary>
    public Dictionary<string, int> Calls { get; } = [];

    /// <summary>Bytes of all files with a name, at most at any moment.</summary>
    public long PeakLength { get; private set; }

    public long TotalLength => _names.Values.Sum(content => content.Length);

    public IReadOnlyCollection<string> Names => _names.Keys;

    /// <summary>Whether a power cut now would change nothing.</summary>
    public bool IsDurable => _unsynced.Count == 0 && _names.Values.All(content => content.IsClean);

    public byte[] Read(string path) => _names[path].Read(durable: false);

    /// <summary>What of a file would be there after a power cut at the least.</summary>
    public byte[] ReadDurable(string path) => _names[path].Read(durable: true);

    /// <summary>A part of what would be there after a power cut at the least.</summary>
    public void ReadDurable(string path, long offset, Span<byte> buffer) => _names[path].Read(offset, buffer, durable: true);

    /// <summary>Makes a file that is durable, as if it had always been there.</summary>
    public void Put(string path, ReadOnlySpan<byte> bytes)
    {
        using (var file = Open(path, OpenFlags.ReadWrite | OpenFlags.Create))
        {
            file.Write(bytes, 0);
            file.FSync();
        }

        FSyncFolder("");
    }

    public IStoredFile Open(string path, OpenFlags flags)
    {
        Call("open");
        if (_names.TryGetValue(path, out var content))
        {
            if (flags.HasFlag(OpenFlags.Exclusive))
                throw new ErrnoException("open", Errno.EEXIST, path);
        }
        else
        {
            if (!flags.HasFlag(OpenFlags.Create))
                throw new ErrnoException("open", Errno.ENOENT, path);
            content = new ModelContent(++_inodes);
            Change(names => names[path] = content);
        }

        return new OpenFile(this, content, path);
    }

    public FileIdentity? Find(string path)
    {
        RefuseWhenDown();
        return _names.TryGetValue(path, out var content) ? IdentityOf(content) : null;
    }

    public IEnumerable<string> List(string folder)
    {
        RefuseWhenDown();
        return [.. _names.Keys];
    }

    public void Rename(string from, string to, bool replace) => ChangeNames("rename", from, () =>
    {
        if (!_names.TryGetValue(from, out var content))
            throw new ErrnoException("rename", Errno.ENOENT, from);
        if (!replace && _names.ContainsKey(to))
            throw new ErrnoException("rename", Errno.EEXIST, to);

        // Renaming one name of a file to its other one does nothing.
        if (_names.GetValueOrDefault(to) == content)
            return;
        Change(names =>
        {
            names[to] = content;
            names.Remove(from);
        });
    });

    public void Link(string existing, string name) => ChangeNames("link", existing, () =>
    {
        if (!_names.TryGetValue(existing, out var content))
            throw new ErrnoException("link", Errno.ENOENT, existing);
        if (_names.ContainsKey(name))
            throw new ErrnoException("link", Errno.EEXIST, name);
        Change(names => names[name] = content);
    });

    public void Remove(string path)
    {
        try
        {
            ChangeNames("unlink", path, () =>
            {
                if (_names.ContainsKey(path))
                    Change(names => names.Remove(path));
            });
        }
        catch (ErrnoException e)
        {
            // As File.Delete tells it.
            throw new IOException(e.Message, e);
        }
    }

    public void FSyncFolder(string folder)
    {
        try
        {
            Call("fsync folder");
        }
        catch (ErrnoException)
        {
            Settle(_random.Next(_unsynced.Count + 1));
            throw;
        }

        Settle(_unsynced.Count);
    }

    /// <summary>The power fails: of what was not synced some is there and some not; names change in order. All files are closed.</summary>
    public void Crash()
    {
        Settle(_random.Next(_unsynced.Count + 1));
        _unsynced.Clear();
        foreach (var content in _names.Values.Concat(_durableNames.Values).Distinct())
            content.Crash(_random);
        _names = new Dictionary<string, ModelContent>(_durableNames);
        _generation++;
        _isDown = false;
    }

    /// <summary>The process is killed: nothing is lost but its locks, and what its descriptions would have been told.</summary>
    public void Kill()
    {
        foreach (var content in _names.Values)
            content.Owner = null;
        _generation++;
        _isDown = false;
    }

    /// <summary>Loses some of what was written, not synced and answered with a good return.</summary>
    public void LoseUnsynced()
    {
        foreach (var content in _names.Values)
            content.Lose(_random);
    }

    /// <summary>Whether there is a file of that name after a crash, whenever it comes.</summary>
    public bool AlwaysHas(string path)
    {
        var names = new Dictionary<string, ModelContent>(_durableNames);
        return names.ContainsKey(path) && _unsynced.TrueForAll(change =>
        {
            change(names);
            return names.ContainsKey(path);
        });
    }

    /// <summary>Has another, older page than was written, and tells nobody.</summary>
    /// <param name="path">The file.</param>
    /// <param name="offset">Where in it the page is.</param>
    /// <param name="older">What the older one is full of.</param>
    /// <returns>Whether there is such a page.</returns>
    public bool Forget(string path, long offset, byte older)
    {
        if (!_names.TryGetValue(path, out var content) || offset + Page.Size > content.Length)
            return false;
        content.Forget(offset, older);
        return true;
    }

    private void ChangeNames(string call, string name, Action change)
    {
        try
        {
            Call(call);
        }
        catch (ErrnoException) when (LosesAnswers && _random.Next(2) == 0 && _names.ContainsKey(name))
        {
            change();
            throw;
        }

        change();
    }

    private void Change(Action<Dictionary<string, ModelContent>> change)
    {
        change(_names);
        _unsynced.Add(change);
    }

    private void Settle(int count)
    {
        foreach (var change in _unsynced.Take(count))
            change(_durableNames);
        _unsynced.RemoveRange(0, count);
    }

    private FileIdentity IdentityOf(ModelContent content) =>
        new(1, content.Inode, (uint)_names.Values.Count(named => named == content), content.Length, content.Length);

    private void Call(string name)
    {
        RefuseWhenDown();
        Calls[name] = Calls.GetValueOrDefault(name) + 1;
        if (Within(name))
        {
            _isDown = true;
            throw new MachineEndedException();
        }

        if (Fault(name) is not Errno.None and var errno)
            throw new ErrnoException(name, errno, "the model");
    }

    private void RefuseWhenDown()
    {
        if (_isDown)
            throw new MachineEndedException();
    }

    internal sealed class OpenFile : IStoredFile
    {
        private readonly ModelStorage _owner;
        private readonly ModelContent _content;
        private readonly string _path;
        private readonly int _generation;
        private bool _isClosed;

        public OpenFile(ModelStorage owner, ModelContent content, string path)
        {
            _owner = owner;
            _content = content;
            _path = path;
            _generation = owner._generation;
        }

        /// <summary>What was written through it was lost, and it has not been told.</summary>
        public bool HasLost { get; set; }

        public long Length => _content.Length;

        public void ReadExactly(long offset, Span<byte> buffer)
        {
            Call("pread");
            if (offset + buffer.Length > _content.Length)
                throw new EndOfStreamException(_path);
            _content.Read(offset, buffer, durable: false);
        }

        public int Write(ReadOnlySpan<byte> bytes, long offset, out Errno errno)
        {
            errno = Errno.None;
            var written = bytes.Length;
            try
            {
                Call("pwrite");
            }
            catch (ErrnoException e)
            {
                // What of it reached the file is not known; what it tells of that may be less.
                errno = e.Errno;
                written = _owner._random.Next(3) == 0 ? _owner._random.Next(bytes.Length) : -1;
                bytes = bytes[.._owner._random.Next(bytes.Length + 1)];
            }
            catch (MachineEndedException) when (_generation == _owner._generation && !_isClosed)
            {
                _content.Write(bytes[.._owner._random.Next(bytes.Length + 1)], offset, this);
                throw;
            }

            _content.Write(bytes, offset, this);
            _owner.PeakLength = Math.Max(_owner.PeakLength, _owner.TotalLength);
            return written;
        }

        public void Write(ReadOnlySpan<byte> bytes, long offset)
        {
            var written = Write(bytes, offset, out var errno);
            if (written < bytes.Length)
                throw new ErrnoException("pwrite", written < 0 ? errno : Errno.EIO, _path);
        }

        public IReadOnlyList<(long Start, long End)>? TryExtents(long start, long end) => _content.TryExtents(start, end);

        public Errno Allocate(long offset, long length) => Fallocate(() => { });

        public Errno PunchHole(long offset, long length) => Fallocate(() =>
            _content.Write(new byte[Math.Max(0, Math.Min(length, _content.Length - offset))], offset, this));

        public void FSync()
        {
            try
            {
                Call("fsync");
            }
            catch (ErrnoException)
            {
                _content.Lose(_owner._random);
                _content.Forget();
                HasLost = false;
                throw;
            }

            _content.Sync();
            TellLoss("fsync");
        }

        public void Truncate(long length)
        {
            Call("ftruncate");
            _content.Truncate(length, this);
        }

        public bool TryLock()
        {
            if (_content.Owner is not null && _content.Owner != this)
                return false;
            _content.Owner = this;
            return true;
        }

        public FileIdentity Identify()
        {
            _owner.RefuseWhenDown();
            return _owner.IdentityOf(_content);
        }

        public void CloseChecked()
        {
            Dispose();
            TellLoss("close");
        }

        public void Dispose()
        {
            _isClosed = true;
            if (_content.Owner == this)
                _content.Owner = null;
        }

        private Errno Fallocate(Action change)
        {
            try
            {
                Call("fallocate");
                change();
                return Errno.None;
            }
            catch (ErrnoException e)
            {
                return e.Errno;
            }
        }

        private void TellLoss(string call)
        {
            if (!HasLost)
                return;
            HasLost = false;
            throw new ErrnoException(call, Errno.EIO, _path);
        }

        private void Call(string name)
        {
            ObjectDisposedException.ThrowIf(_isClosed, this);
            if (_generation != _owner._generation)
                throw new MachineEndedException();
            _owner.Call(name);
        }
    }
}

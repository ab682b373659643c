using System.IO.Hashing;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Posix;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>
/// One save from its beginning to its end, with everything that may happen to it, chosen by a seed: the guest changes, the storage
/// fails, lies and forgets, calls overlap, the process or the machine ends in any call. The steps are those of the image writer, done by hand
/// on one thread. What was written and what is durable is compared, page by page, with a model.
/// </summary>
internal sealed class SaveHistory : IDisposable
{
    private const int ExtentPages = 16;
    private const string Migration = "mig-1";

    private static readonly Errno[] Errors =
        [Errno.EIO, Errno.ENOTCONN, Errno.ETIMEDOUT, Errno.ENOSPC, Errno.EDQUOT, Errno.ESTALE, Errno.EROFS, Errno.EACCES];

    private readonly ImagePaths _paths = new("/images/guest.image");
    private readonly Random _random;
    private readonly ModelStorage _storage;
    private readonly ModelGuest _guest;
    private readonly SavePlan _plan;
    private readonly bool _hasLinks;
    private readonly bool _hasHoles;
    private readonly List<ImageFile> _images = [];
    private readonly List<Copying> _taken = [];
    private readonly Dictionary<(ImageFile, int), ExtentCopier> _copiers = [];
    private readonly AlignedBuffer _late = new(Page.Size);
    private ImageAttempt _attempt;
    private ModelPages[] _pages = [];
    private byte[][]? _atStop;
    private ulong? _announced;
    private bool _hasBegun;
    private bool _runs = true;
    private bool _mayFail = true;
    private long _token;
    private int _iteration;
    private int _failAfter = -1;
    private int _failures;
    private Errno _error;
    private int _endAfter = -1;
    private bool _isKilled;
    private int _depth;

    public SaveHistory(int seed)
    {
        _random = new Random(seed);
        _hasLinks = _random.Next(4) > 0;
        _hasHoles = _random.Next(4) > 0;
        _storage = new ModelStorage(_random) { LosesAnswers = true };
        _guest = new ModelGuest(_random);
        _plan = new SavePlan(
            Migration, "host-a", "vm1", "/run/vm1.sock", _paths.Image, Overwrite: _random.Next(2) == 0, AfterPublication.Pause,
            new WriterOptions
            {
                Writers = 0,
                MaxDowntime = TimeSpan.Zero,
                EpochBytes = long.MaxValue,
                EpochTime = TimeSpan.MaxValue,
                ExtentBytes = ExtentPages * Page.Size,
                DirectIo = _random.Next(3) == 0 ? DirectIoChoice.Off : DirectIoChoice.On,
            },
            LaunchFolder: "", Request: "");
        if (_plan.Overwrite)
        {
            foreach (var path in new[] { _paths.Image, _paths.Manifest, _paths.Checksums })
                _storage.Put(path, OldContent(path));
        }

        (_storage.Fault, _storage.Within) = (Fault, Within);
        _attempt = NewAttempt();
    }

    /// <summary>What has happened, for a failure's message.</summary>
    public List<string> Events { get; } = [];

    /// <summary>How the save ended.</summary>
    public string Outcome { get; private set; } = "";

    public void Play()
    {
        Guarded(Create);
        for (var events = _random.Next(10, 60); events > 0 && Outcome == ""; events--)
            Guarded(Step);
        var isAborted = _random.Next(6) == 0;
        for (var tries = 0; Outcome == ""; tries++)
        {
            Assert.True(tries < 60, "the save does not come to its end");
            _mayFail = tries < 30;
            Guarded(isAborted ? Abort : Complete);
        }
    }

    public void Dispose()
    {
        Discard();
        _late.Dispose();
        foreach (var copier in _copiers.Values)
            copier.Dispose();
    }

    private static byte[] OldContent(string path) => [.. "old "u8, .. System.Text.Encoding.UTF8.GetBytes(path)];

    private ImageAttempt NewAttempt() => new(_plan, TimeProvider.System, _storage);

    private void Step()
    {
        if (!_attempt.Engines.Any() || _attempt.Session is not { Interrupted.IsCancellationRequested: false })
        {
            if (_random.Next(2) == 0)
                _guest.Change();
            Resume();
            return;
        }

        switch (_random.Next(24))
        {
            case < 5:
                Log("guest changes");
                _guest.Change();
                break;
            case < 8:
                Sync();
                break;
            case < 11:
                Begin();
                break;
            case < 14:
                Take();
                break;
            case < 18:
                Copy();
                break;
            case < 20:
                CloseEpoch();
                break;
            case 20:
                Log("storage loses what it took");
                _storage.LoseUnsynced();
                break;
            case 21:
                PlanFailure(_random.Next(3) == 0 ? 40 : 6);
                break;
            case 22:
                PlanEnd(_random.Next(2) == 0 ? 60 : 8);
                break;
            default:
                Suspend();
                break;
        }
    }

    private void PlanFailure(int calls)
    {
        if (!_mayFail)
            return;
        (_failAfter, _failures, _error) = (_random.Next(calls), _random.Next(1, 5), Errors[_random.Next(Errors.Length)]);
        Log($"{_failures} x {_error} after {_failAfter} calls");
    }

    private void PlanEnd(int calls)
    {
        if (!_mayFail)
            return;
        (_endAfter, _isKilled) = (_random.Next(calls), _random.Next(3) == 0);
        Log($"{(_isKilled ? "kill" : "power cut")} after {_endAfter} calls");
    }

    private Errno Fault(string call)
    {
        if (call == "link" && !_hasLinks)
            return Errno.EPERM;
        if (call == "fallocate" && !_hasHoles)
            return Errno.EOPNOTSUPP;
        if (!_mayFail || _failures == 0 || _failAfter-- > 0)
            return Errno.None;
        _failures--;
        Log($"  {call}: {_error}");
        return _error;
    }

    private bool Within(string call)
    {
        if (_plan.Overwrite && _hasLinks && call is ("rename" or "link" or "unlink" or "fsync folder"))
            Assert.True(_storage.AlwaysHas(_paths.Image), "after a crash, neither the old image nor the new one may stand under the name");
        if (_mayFail && _endAfter >= 0 && _endAfter-- == 0)
        {
            Log($"  ends in {call}");
            return true;
        }

        // Others go on while a call is under way; those that would wait for a lock of the caller do not come to pass.
        if (_depth != 1 || call is not ("pwrite" or "fsync") || _random.Next(4) > 0)
            return false;
        _depth++;
        try
        {
            for (var events = _random.Next(1, 4); events > 0; events--)
                StepWithin();
        }
        finally
        {
            _depth--;
        }

        return false;
    }

    private void StepWithin()
    {
        switch (_random.Next(4))
        {
            case 0 when _runs:
                _guest.Change();
                break;
            case 1:
                Take();
                break;
            case 2:
                Copy();
                break;
            case 3 when _mayFail:
                _storage.LoseUnsynced();
                break;
        }
    }

    private void Create()
    {
        Log("create");
        _pages = NewPages();
        Try(() => _attempt.Create(_guest, NextToken()));
        AfterOpening();
    }

    private void Sync()
    {
        if (_taken.Count > 0)
            return;
        Log("sync");
        foreach (var engine in _attempt.Engines)
            PageComparison.MarkChanged(engine, threads: 1);
        foreach (var pages in _pages)
            pages.Compare();
        AssertCounts();
        if (!Try(_attempt.Session!.Epochs.InvalidateHeld))
            return;
        foreach (var page in _pages.SelectMany(pages => pages.In(ModelPageState.Held)).ToList())
            page.State = ModelPageState.Dirty;
    }

    private void Begin()
    {
        Log("iterate");
        _iteration++;
        for (var i = 0; i < _pages.Length; i++)
        {
            var engine = _attempt.Engines[i];
            engine.BeginIteration(_iteration);
            var errors = engine.Snapshot().Errors;
            var scanned = false;
            TryAs(0, () => scanned = engine.TryScan(_attempt.Session!.Image));
            if (scanned && engine.Snapshot().Errors == errors)
                _pages[i].Scan();
        }
    }

    private void Take()
    {
        var i = _random.Next(_pages.Length);
        if (_attempt.Session is not { Interrupted.IsCancellationRequested: false } session || !_attempt.Engines[i].TryTake(ExtentPages, out var run))
            return;
        Log($"take {run.First}+{run.Count} of {i}");
        _pages[i].Take(run);
        _taken.Add(new Copying(session.Image, i, run));
    }

    /// <summary>Does what a writer does with an extent that it took.</summary>
    private void Copy()
    {
        if (_taken.Count == 0)
            return;
        var copying = _taken[_random.Next(_taken.Count)];
        _taken.Remove(copying);
        Log($"copy {copying.Run.First}+{copying.Run.Count} of {copying.Block}");
        var (engine, pages) = (_attempt.Engines[copying.Block], _pages[copying.Block]);
        var values = pages.Values(copying.Run);
        var copier = CopierOf(copying.Image);
        Exception? error = null;
        TryAs(1, () =>
        {
            try
            {
                copier.Copy(engine, copying.Run);
            }
            catch (Exception e) when (e is not MachineEndedException)
            {
                error = e;
                engine.Fail(copying.Run, e);
            }
        });
        if (error is null)
            pages.Land(copying.Run, values);
        else
            pages.Fail(copying.Run);
    }

    /// <summary>Its buffer is one for each call that may be under way.</summary>
    private ExtentCopier CopierOf(ImageFile image) => _copiers.TryGetValue((image, _depth), out var copier)
        ? copier
        : _copiers[(image, _depth)] = new ExtentCopier(image, ExtentPages, _ => { });

    private void CloseEpoch()
    {
        Log("close epoch");
        Close(() => _attempt.Session!.Epochs.Close());
    }

    /// <summary>Only what was written before the call may become durable by it.</summary>
    private bool Close(Action close)
    {
        var epochs = _attempt.Session!.Epochs;
        var (before, notes) = (epochs.Count, _attempt.Notes.Count);
        var covered = _pages.SelectMany(pages => pages.In(ModelPageState.Written)).ToList();
        var isClosed = TryAs(1, close) && _attempt.Notes.Count == notes;
        if (epochs.Count == before)
        {
            foreach (var pages in _pages)
                pages.LoseUnsynced();
            return false;
        }

        foreach (var page in covered)
        {
            page.State = ModelPageState.Durable;
            page.IsJournaled = isClosed;
        }

        AssertDurable();
        return isClosed;
    }

    /// <summary>The guest runs on, and what is written is made durable if that is possible.</summary>
    private void Suspend()
    {
        Log("suspend");
        var isFirst = _attempt.Session is { Interrupted.IsCancellationRequested: false };
        if (!_attempt.Refuse())
            return;
        foreach (var engine in _attempt.Engines)
            engine.Interrupt(new InvalidOperationException("The test says so."));
        _runs = true;
        _announced = null;
        if (_attempt.Session is not { } session)
            return;
        Assert.Equal(0, session.Interrupt(TimeSpan.FromSeconds(30)));

        // Not while a thread hangs that may not be counted on.
        if (isFirst && _random.Next(4) > 0)
            Close(_attempt.SaveLastEpoch);
    }

    private void Resume()
    {
        Log("resume");
        var isInMemory = _attempt.Session is not null;
        if (isInMemory)
        {
            foreach (var pages in _pages)
                pages.LoseUnsynced();
        }

        if (_mayFail && _random.Next(3) == 0)
            ForgetDurable();
        var isOpen = Try(() => _attempt.Resume(_guest, NextToken(), _hasBegun));
        if (!isInMemory && _attempt.Session is not null)
            Adopt();
        AfterOpening();
        if (isOpen)
            ReadBack();
        else
            Suspend();
    }

    /// <summary>Storage that failed comes back with older data.</summary>
    private void ForgetDurable()
    {
        Log("storage comes back with older data");
        var i = _random.Next(_pages.Length);
        foreach (var number in Enumerable.Range(0, (int)_guest.Layout.Blocks[i].PageCount).Where(_ => _random.Next(5) == 0))
        {
            var page = _pages[i][number];
            if (page.State is not (ModelPageState.Durable or ModelPageState.Held or ModelPageState.Dirty))
                continue;
            var older = (byte)(page is { State: not ModelPageState.Dirty, Value: not 0 } ? 0 : 77);
            if (_storage.Forget(_paths.Partial, _guest.Layout.Blocks[i].PagesOffset + ((long)number * Page.Size), older))
                page.IsForgotten = page.State != ModelPageState.Dirty;
        }
    }

    /// <summary>What the storage has forgotten is found, and only that.</summary>
    private void ReadBack()
    {
        _failures = 0;
        for (var i = 0; i < _pages.Length; i++)
        {
            PageComparison.MarkLost(_attempt.Engines[i], _attempt.Session!.Image, threads: 1);
            _pages[i].ReadBack();
        }
    }

    private void AfterOpening()
    {
        if (_attempt.Session is not { } session)
            return;
        _hasBegun = true;
        if (!_images.Contains(session.Image))
            _images.Add(session.Image);
    }

    /// <summary>What the journal tells is in the image, and nothing is missing that it was told.</summary>
    private void Adopt()
    {
        var known = _pages;
        _pages = NewPages();
        var page = new byte[Page.Size];
        var entries = new UInt128[1];
        for (var i = 0; i < _pages.Length; i++)
        {
            var engine = _attempt.Engines[i];
            var isResumed = engine.Snapshot().Failed > 0;
            var recorded = engine.RecordedPages().SelectMany(run => Enumerable.Range((int)run.First, (int)run.Count)).ToHashSet();
            for (var number = 0; number < engine.Layout.PageCount; number++)
            {
                if (!recorded.Contains(number))
                {
                    Assert.False(known[i][number].IsJournaled, $"page {number} of block {i} was durable, but is forgotten");
                    _pages[i][number].HasFailed = isResumed;
                    continue;
                }

                engine.CopyEntries(new PageRun(number, 1), entries);
                _pages[i][number].IsForgotten = known[i][number].IsForgotten;
                if (known[i][number].IsForgotten)
                    page.AsSpan().Fill(known[i][number].Value);
                else
                    _storage.ReadDurable(_paths.Partial, engine.Layout.PagesOffset + ((long)number * Page.Size), page);
                var entry = page.AsSpan().ContainsAnyExcept((byte)0) ? JournalEntry.OfHash(XxHash128.HashToUInt128(page)) : JournalEntry.Zero;
                Assert.True(entries[0] == entry, $"page {number} of block {i} is not in the image as the journal tells");
                _pages[i][number].State = ModelPageState.Durable;
                _pages[i][number].IsJournaled = _pages[i][number].WasWritten = true;
                _pages[i][number].Value = page[0];
            }
        }
    }

    /// <summary>Stops the guest, writes the rest and publishes; after a failure the guest runs on, and so does the save.</summary>
    private void Complete()
    {
        if (_attempt.Session is not { Interrupted.IsCancellationRequested: false } session)
        {
            Resume();
            return;
        }

        Log("stop");
        _runs = false;
        if (_random.Next(4) == 0)
            PlanFailure(40);
        if (_random.Next(4) == 0)
            PlanEnd(60);
        while (_taken.Count > 0)
            Copy();
        Sync();
        Begin();
        for (var i = 0; i < _pages.Length * 1000 && _attempt.Engines.Any(engine => engine.Snapshot() is { State: BlockState.Iterating, Dirty: > 0 }); i++)
            Take();
        while (_taken.Count > 0)
            Copy();
        if (_pages.Any(pages => pages.Any(ModelPageState.Dirty) || pages.Any(ModelPageState.Held)) || !Close(session.Epochs.Close)
            || !Try(HandOver))
        {
            Suspend();
            _guest.Change();
            return;
        }

        Log("publish");
        _atStop = _guest.Snapshot();
        var isDone = Try(() => _attempt.Publish(new DeviceSections(default, default), () => Announce(session.Image), CancellationToken.None));
        if (_attempt.IsPublished)
        {
            while (!Try(_attempt.Settle))
                Assert.True(_mayFail, "the names do not become durable");
            VerifyPublished();
            return;
        }

        Assert.False(isDone, "it is not published, and nobody is told");
        Assert.NotEqual(session.Image.Identity.Inode, _storage.Find(_paths.Image)?.Inode);
        VerifyNotReplaced();
        Suspend();
        _guest.Change();

        // That the names were taken back is not durable either.
        if (_random.Next(2) == 0)
            PlanEnd(_random.Next(2) == 0 ? 40 : 5);
    }

    /// <summary>What follows are the names, which are few calls among many, and where most is at stake.</summary>
    private void Announce(ImageFile image)
    {
        _announced = image.Identity.Inode;
        (_failures, _endAfter) = (0, -1);
        switch (_random.Next(3))
        {
            case 0:
                PlanFailure(12);
                break;
            case 1:
                PlanEnd(9);
                break;
        }
    }

    private void HandOver()
    {
        foreach (var engine in _attempt.Engines)
            _attempt.HandOver(engine);
    }

    private void Abort()
    {
        Log("abort");
        Assert.True(_attempt.Abort());
        while (_taken.Count > 0)
            Copy();
        if (_attempt.Session is { } session)
            Assert.Equal(0, session.Interrupt(TimeSpan.FromSeconds(30)));
        Try(_attempt.RemoveUnfinished);
        Discard();

        // What it could not do, the next process does.
        _mayFail = false;
        UnfinishedImage.Remove(_paths, Migration, _storage);
        string[] old = _plan.Overwrite ? [_paths.Image, _paths.Manifest, _paths.Checksums] : [];
        Assert.Equal(old, _storage.Names.Order(StringComparer.Ordinal).OrderBy(name => Array.IndexOf(old, name)));
        foreach (var path in old)
            Assert.Equal(OldContent(path), _storage.Read(path));
        Outcome = "aborted";
    }

    /// <summary>Plays something; when the process or the machine ends in it, the next process goes on.</summary>
    private void Guarded(Action play)
    {
        try
        {
            play();
            AssertCounts();
        }
        catch (MachineEndedException)
        {
            Reboot();
        }
    }

    private void Reboot()
    {
        Log(_isKilled ? "killed" : "power cut");
        _endAfter = -1;
        if (_isKilled)
            _storage.Kill();
        else
            _storage.Crash();
        Discard();
        _taken.Clear();
        _images.Clear();
        _runs = true;
        _attempt = NewAttempt();

        // A record on the host's own disk tells from when on the name may be there.
        if (_announced is { } inode && _storage.Find(_paths.Image)?.Inode == inode)
        {
            _mayFail = false;
            Publication.Finish(_paths, _storage);
            VerifyPublished();
            return;
        }

        VerifyNotReplaced();
        _announced = null;
    }

    private void Discard()
    {
        foreach (var engine in _attempt.Engines)
            engine.Dispose();
        _attempt.Dispose();
    }

    /// <summary>With the power cut now, the image is what the guest was when it was stopped, and its checksums prove it.</summary>
    private void VerifyPublished()
    {
        Log("verify");
        _mayFail = false;
        var published = _storage.Read(_paths.Image);
        foreach (var image in _images)
            WriteLate(image);
        Assert.Equal(published, _storage.Read(_paths.Image));
        Discard();
        _storage.Crash();
        Assert.Equal(published, _storage.Read(_paths.Image));
        AssertIsGuest(published);
        using var file = new MemoryImageInput(published);
        using var checksums = new MemoryImageInput(_storage.Read(_paths.Checksums));
        Assert.Equal(0, DeepVerifier.Verify(file, checksums, parallelism: 1).Bad);
        Assert.DoesNotContain("old", System.Text.Encoding.UTF8.GetString(_storage.Read(_paths.Manifest)), StringComparison.Ordinal);
        Outcome = _attempt.IsPublished ? "completed" : "completed by the next process";
    }

    private void AssertIsGuest(byte[] image)
    {
        Assert.Empty(ImageVerifier.Verify(new MemoryImageInput(image)));
        for (var i = 0; i < _pages.Length; i++)
        {
            var block = _guest.Layout.Blocks[i];
            Assert.True(_atStop![i].AsSpan().SequenceEqual(image.AsSpan((int)block.PagesOffset, (int)block.UsedLength)), $"block {i} is not what the guest's was");
        }
    }

    /// <summary>Threads that come back late, with any image file that this process ever opened.</summary>
    private void WriteLate(ImageFile image)
    {
        _late.Span.Fill(0xbd);
        var offset = _guest.Layout.Blocks[0].PagesOffset;
        Action[] calls =
        [
            () => image.WritePages(_late.Span, offset), () => image.WriteMeta(_late.Span, offset), () => image.ZeroPages(offset, Page.Size),
            () => image.Release(offset, Page.Size), () => image.Allocate(offset, Page.Size),
        ];
        foreach (var call in calls)
            Assert.ThrowsAny<Exception>(call);
    }

    /// <summary>Under the image's name stands what stood there, or all of the new one.</summary>
    private void VerifyNotReplaced()
    {
        if (!_plan.Overwrite)
        {
            if (_storage.Find(_paths.Image) is not null)
                AssertIsWhole(_storage.Read(_paths.Image));
            return;
        }

        if (!_storage.Names.Contains(_paths.Image))
        {
            Assert.Contains(_paths.Image + ".previous", _storage.Names);
            return;
        }

        var image = _storage.Read(_paths.Image);
        if (!image.AsSpan().SequenceEqual(OldContent(_paths.Image)))
            AssertIsWhole(image);
    }

    /// <summary>All of the new image, unless the storage has lost what it had made durable.</summary>
    private void AssertIsWhole(byte[] image)
    {
        if (!_pages.Any(pages => pages.IsForgotten))
            AssertIsGuest(image);
    }

    /// <summary>What counts as durable is on the disk.</summary>
    private void AssertDurable()
    {
        var bytes = new byte[Page.Size];
        for (var i = 0; i < _pages.Length; i++)
        {
            for (var page = 0; page < _guest.Layout.Blocks[i].PageCount; page++)
            {
                if (_pages[i][page].State != ModelPageState.Durable || _pages[i][page].IsForgotten)
                    continue;
                _storage.ReadDurable(_paths.Partial, _guest.Layout.Blocks[i].PagesOffset + ((long)page * Page.Size), bytes);
                Assert.False(bytes.AsSpan().ContainsAnyExcept(_pages[i][page].Value), $"page {page} of block {i} counts as durable, and is not");
            }
        }
    }

    private void AssertCounts()
    {
        if (Outcome != "" || _attempt.Engines.Count == 0 || _attempt.Session is null)
            return;
        for (var i = 0; i < _pages.Length; i++)
            _pages[i].AssertCounts(_attempt.Engines[i]);
    }

    /// <summary>Whether a step went well; what a fault of the storage may throw is no failure of the test.</summary>
    private bool Try(Action step) => TryAs(0, step);

    private bool TryAs(int depth, Action step)
    {
        var outer = _depth;
        _depth = Math.Max(_depth, depth);
        try
        {
            step();
            return true;
        }
        catch (Exception e) when (e is ImageException or ErrnoException or IOException or OperationCanceledException)
        {
            Log($"  {e.GetType().Name}: {e.Message}");
            return false;
        }
        finally
        {
            _depth = outer;
        }
    }

    private ModelPages[] NewPages() => [.. _guest.Memories.Select(memory => new ModelPages(memory))];

    private JournalToken NextToken() => new(++_token, Guid.NewGuid());

    private void Log(string what) => Events.Add(new string(' ', 2 * _depth) + what);

    /// <summary>An extent that a writer took and has not settled.</summary>
    private sealed record Copying(ImageFile Image, int Block, PageRun Run);
}

using System.Globalization;
using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Posix;
using DistMigrate.Transfer.Journal;

namespace DistMigrate.Transfer;

/// <summary>
/// The image of one attempt to save a guest, and its side files: created, written, interrupted and taken up again, published or
/// removed. What becomes of the guest meanwhile is its owner's business. All calls but the properties may hang in storage, and one
/// runs at a time; the properties may be read at any moment.
/// </summary>
/// <param name="plan">What to save and where.</param>
/// <param name="time">The clock.</param>
/// <param name="files">The file system; this machine's by default.</param>
/// <param name="observer">Is told of every call to the storage; may be null.</param>
internal sealed class ImageAttempt(SavePlan plan, TimeProvider time, IFileSystem? files = null, IStorageObserver? observer = null) : IDisposable
{
    private readonly IFileSystem _files = files ?? HostFileSystem.Instance;
    private readonly ImagePaths _paths = new(plan.ImagePath);
    private readonly Publication _publication = new(new ImagePaths(plan.ImagePath), plan.Overwrite, files);
    private readonly Dictionary<string, string> _digests = [];
    private readonly List<string> _notes = [];
    private readonly Lock _gate = new();
    private readonly Lock _handOver = new();

    // By their index in the journal.
    private IReadOnlyList<BlockEngine> _engines = [];
    private IImageSource? _source;
    private JournalFile? _journal;
    private bool _mayOwnLeftovers;
    private bool _beginsAnew;
    private long _otherBytes;
    private long _tokenInForce;
    private long _bandwidth = plan.Options.BandwidthLimit;

    /// <summary>The image while it is open; null before.</summary>
    public ImageSession? Session { get; private set; }

    /// <summary>The engines of the RAMBlocks, in the image's order; none before the image is open.</summary>
    public IReadOnlyList<BlockEngine> Engines
    {
        get
        {
            lock (_gate)
                return _engines;
        }
    }

    /// <summary>The image's id; that of its journal once it is taken up again.</summary>
    public Guid Id { get; private set; } = Guid.NewGuid();

    /// <summary>Whether the image stands under its final name.</summary>
    public bool IsPublished => _publication.IsPublished;

    /// <summary>Bytes of pages written per second at most; 0 for no limit.</summary>
    public long Bandwidth => Interlocked.Read(ref _bandwidth);

    /// <summary>Bytes written outside the RAMBlocks' pages.</summary>
    public long OtherBytes => Interlocked.Read(ref _otherBytes);

    /// <summary>Bytes of the journal.</summary>
    public long JournalBytes => _journal?.Length ?? 0;

    /// <summary>The number of the token that the journal obeyed when it was taken up; 0 before.</summary>
    public long TokenInForce => Interlocked.Read(ref _tokenInForce);

    /// <summary>What the operator should know of the image.</summary>
    public IReadOnlyList<string> Notes
    {
        get
        {
            lock (_gate)
                return _publication.Remark is { } remark ? [.. _notes, remark] : [.. _notes];
        }
    }

    /// <summary>Creates the partial image with its journal and writes its headers.</summary>
    /// <exception cref="ImageException">The storage refuses.</exception>
    /// <exception cref="OperationCanceledException">The attempt was ended meanwhile.</exception>
    public void Create(IImageSource source, JournalToken token)
    {
        UnfinishedImage.Remove(_paths, plan.Migration, _files, token);
        SetUpEngines(source, resumed: false);
        var watch = NewWatch();
        var image = ImageFile.Create(_paths.Partial, source.Layout.TailOffset, plan.Options.DirectIo, watch, _files);
        try
        {
            _journal = JournalFile.Create(_paths.Journal, IdentityOf(source, image.Identity), token, _files);
        }
        catch
        {
            using (image)
                image.Discard();
            throw;
        }

        Begin(source, image, watch);
    }

    /// <summary>Takes an interrupted attempt up again: from what this process knows, or else from the journal, or else from zero.</summary>
    /// <param name="source">The guest.</param>
    /// <param name="token">Of the coordinator in charge.</param>
    /// <param name="hasBegun">Whether the image was open before, so that what was written of it must be there.</param>
    /// <exception cref="GuestException">The guest's memory cannot be opened, or is another's by now.</exception>
    /// <exception cref="ImageException">The storage refuses, or the partial image is another's by now.</exception>
    /// <exception cref="OperationCanceledException">The attempt was ended meanwhile.</exception>
    public void Resume(IImageSource source, JournalToken token, bool hasBegun)
    {
        _digests.Clear();
        if (Session is { } session)
            GoOn(session, source, token);
        else
            GoOnFromJournal(source, token, hasBegun);
        ReadBack();
    }

    /// <summary>Makes the token of a new coordinator durable, before anything that it asks is done.</summary>
    /// <exception cref="ImageException">Another is in charge, or the storage failed.</exception>
    public void Obey(JournalToken token)
    {
        if (_journal is { Failure: null } journal && journal.Token != token)
            journal.TakeOver(token);
    }

    /// <summary>Finds the pages of a block that the guest changed since they were written, and lets them be written again.</summary>
    /// <exception cref="GuestException">Its memory cannot be read.</exception>
    /// <exception cref="ImageException">The journal failed.</exception>
    public void SyncDirty(BlockEngine block)
    {
        PageComparison.MarkChanged(block, plan.Options.Writers);
        Opened(Session).Epochs.InvalidateHeld();
    }

    /// <summary>Lets the writers work on a block's dirty pages. The same iteration again changes nothing.</summary>
    public void Iterate(BlockEngine block, int iteration)
    {
        block.BeginIteration(iteration);
        Opened(Session).Wake();
    }

    /// <summary>Writes a block's shadow bitmap to its place, once all its pages are durable. Repeats change nothing.</summary>
    /// <exception cref="ImageException">The write failed.</exception>
    public void HandOver(BlockEngine block)
    {
        lock (_handOver)
        {
            if (_digests.ContainsKey(block.Layout.Name))
                return;
            var image = Opened(Session).Image;
            Release(block, image);
            var (bitmap, digest) = block.HandOver();
            WriteMeta(image, bitmap, block.Layout.BitmapOffset);
            _digests.Add(block.Layout.Name, digest.ToString("x32", CultureInfo.InvariantCulture));
        }
    }

    /// <summary>Writes the shadow bitmap of every block to its place. Repeats change nothing.</summary>
    /// <exception cref="ImageException">A write failed.</exception>
    /// <exception cref="OperationCanceledException">It was called off.</exception>
    public void HandOverAll(CancellationToken calledOff)
    {
        foreach (var engine in Engines)
        {
            calledOff.ThrowIfCancellationRequested();
            HandOver(engine);
        }
    }

    /// <summary>Writes EOS and tail after every bitmap is durable, checks the image and publishes it.</summary>
    /// <param name="devices">The guest's device state.</param>
    /// <param name="announce">Makes durable elsewhere that the image may have its final name from here on.</param>
    /// <param name="calledOff">Ends it, up to the moment in which the image gets its name.</param>
    /// <exception cref="ImageException">The storage failed. The image is not published, or <see cref="Settle"/> is due.</exception>
    /// <exception cref="OperationCanceledException">The attempt was interrupted, ended or called off.</exception>
    public void Publish(DeviceSections devices, Action announce, CancellationToken calledOff)
    {
        var session = Opened(Session);
        var source = Opened(_source);
        var layout = source.Layout;
        if (_digests.Count != layout.Blocks.Count)
            throw new InvalidOperationException($"Only {_digests.Count} of {layout.Blocks.Count} RAMBlocks have handed their shadow bitmap over.");
        var image = session.Image;
        image.FSync();
        var tail = layout.Tail(devices);
        WriteMeta(image, tail, layout.TailOffset);
        image.FSync();
        Check(image);
        var length = layout.TailOffset + tail.Length;
        session.Epochs.Finish(_paths.PartialChecksums, length);
        var manifest = new ImageManifest(
            ImageManifest.CurrentSchema, Id, length, plan.Migration, time.GetUtcNow(), plan.Guest, plan.QmpPath,
            source.Process, source.Description, _digests);
        session.Track(() => manifest.Write(_paths.PartialManifest, _files));
        calledOff.ThrowIfCancellationRequested();
        image.ClosePages();
        announce();
        using var either = CancellationTokenSource.CreateLinkedTokenSource(session.Interrupted, calledOff);
        session.Track(() => _publication.Publish(image, either.Token));
        Close(session);
    }

    /// <summary>Changes <see cref="Bandwidth"/>, also of the writers at work.</summary>
    public void SetBandwidth(long limit)
    {
        Interlocked.Exchange(ref _bandwidth, limit);
        Session?.SetBandwidth(limit);
    }

    /// <summary>Whether it is undecided yet that the image is published. Waits for a publication under way, however long that hangs.</summary>
    public bool TryUndecided() => _publication.TryUndecided(() => { });

    /// <summary>A publication was called off: the guest changes its pages again, and tail and bitmaps will be others.</summary>
    public void BeginAgain()
    {
        lock (_handOver)
            _digests.Clear();
        foreach (var engine in Engines)
        {
            engine.EndFeed();
            engine.Reopen();
        }

        var layout = Opened(_source).Layout;
        Opened(Session).Image.BeginAgain(layout.TailOffset);
        foreach (var piece in layout.Headers())
            WriteMeta(Opened(Session).Image, piece.Bytes.Span, piece.Offset);
    }

    /// <summary>Makes the names of a published image durable, where its publication could not.</summary>
    /// <exception cref="ImageException">The storage failed: the image may be gone after a power cut, so its guest must not be ended.</exception>
    public void Settle()
    {
        _publication.Settle();
        if (IsPublished && Session is { } session)
            Close(session);
    }

    /// <summary>No further call to the storage begins. Waits for a publication under way, however long that hangs.</summary>
    /// <returns>False when the image is published, or the attempt ended.</returns>
    public bool Refuse() => _publication.TryUndecided(() => Session?.Refuse());

    /// <summary>Decides that the image is not published. Waits for a publication under way, however long that hangs.</summary>
    /// <returns>False when it is published.</returns>
    public bool Abort()
    {
        if (!_publication.Abort())
            return false;
        foreach (var engine in Engines)
            engine.Cancel();
        return true;
    }

    /// <summary>What is written may be durable yet. Where not, those pages are dirty again, which is all that is to be known of them.</summary>
    public void SaveLastEpoch()
    {
        try
        {
            var session = Opened(Session);
            session.Epochs.Close();

            // Nobody knows for how long, and others may need the space.
            foreach (var engine in Engines)
                Release(engine, session.Image);
        }
        catch (ImageException e)
        {
            Note($"What was written last is written again: {e.Message}");
        }
    }

    /// <summary>Removes what the ended attempt leaves.</summary>
    /// <exception cref="ImageException">Some of it cannot be removed.</exception>
    /// <exception cref="IOException">Some of it cannot be removed.</exception>
    public void RemoveUnfinished()
    {
        if (Session is { } session)
            RemoveUnfinished(session.Image);
        else if (_mayOwnLeftovers)
            UnfinishedImage.Remove(_paths, plan.Migration, _files);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Session?.Dispose();
        _journal?.Dispose();
    }

    /// <summary>What is told of calls that do not return.</summary>
    public static ImageException Stalled(int calls, TimeSpan silence) => new(ImageFault.Stalled,
        $"{calls} call(s) to the storage have not returned for {silence.TotalSeconds:0} s. Look at the storage and its network; the migration goes on once they return.");

    private static T Opened<T>(T? part) where T : class =>
        part ?? throw new InvalidOperationException("The image is not open; the coordinator's commands came out of order.");

    private static void Check(ImageFile image)
    {
        using var input = image.OpenInput();
        var violations = ImageVerifier.Verify(input);
        if (violations.Count > 0)
        {
            throw new ImageException(ImageFault.Malformed,
                $"The finished image does not pass its own check, so it is not published: at offset {violations[0].Offset}: {violations[0].Message}. Please report it.");
        }
    }

    private static void Release(BlockEngine block, ImageFile image)
    {
        foreach (var run in block.UnusedReservations())
            image.Release(block.Layout.PagesOffset + run.Offset, run.Length);
    }

    /// <summary>Whoever is told that the image is published may open it, which the writer's lock would refuse.</summary>
    private void Close(ImageSession session)
    {
        session.Dispose();
        foreach (var engine in Engines)
            engine.Dispose();
        try
        {
            session.Journal.Remove();
        }
        catch (ImageException e)
        {
            Note($"{e.Message} The image is published; remove its journal with 'distmigrate gc'.");
        }
    }

    private StorageWatch NewWatch() => new(plan.Options.MaxDowntime, time, observer);

    private void SetUpEngines(IImageSource source, bool resumed)
    {
        DropEngines();
        List<BlockEngine> engines = [];
        try
        {
            foreach (var block in source.Layout.Blocks)
                engines.Add(new BlockEngine(block, source.OpenMemory(block.Name), resumed));
        }
        catch
        {
            foreach (var engine in engines)
                engine.Dispose();
            throw;
        }

        lock (_gate)
            _engines = engines;
    }

    private void DropEngines()
    {
        foreach (var engine in Engines)
            engine.Dispose();
        lock (_gate)
            _engines = [];
    }

    private void Note(string note)
    {
        lock (_gate)
            _notes.Add(note);
    }

    private void WriteMeta(ImageFile image, ReadOnlySpan<byte> bytes, long offset)
    {
        image.WriteMeta(bytes, offset);
        Interlocked.Add(ref _otherBytes, bytes.Length);
    }

    /// <summary>Takes over the image that was opened, unless the attempt was ended while the storage did not answer.</summary>
    private void Begin(IImageSource source, ImageFile image, StorageWatch watch)
    {
        var old = Session;
        _source = source;
        if (!_publication.TryUndecided(() => Session = new ImageSession(image, watch, Opened(_journal), () => Engines, plan with { Options = plan.Options with { BandwidthLimit = Bandwidth } }, time)))
        {
            using (image)
                RemoveUnfinished(image);
            throw new OperationCanceledException();
        }

        old?.Dispose();
        foreach (var piece in source.Layout.Headers())
            WriteMeta(image, piece.Bytes.Span, piece.Offset);
    }

    /// <summary>Goes on in the process that was interrupted. The descriptors are opened anew: what storage lost, it may tell the old ones only.</summary>
    private void GoOn(ImageSession old, IImageSource source, JournalToken token)
    {
        if (old.UnderWay > 0)
            throw Stalled(old.UnderWay, old.Silence);
        foreach (var engine in Engines)
            engine.LoseUnsynced();
        RepairJournal(old);
        Opened(_journal).TakeOver(token);
        old.Image.Dispose();
        Publication.Withdraw(_paths, old.Image.Identity.Inode, _files);
        Begin(source, Reopen(source, old.Image.Identity.Inode, out var watch), watch);
    }

    /// <summary>Its descriptor may have died with the storage as well; then it is written anew.</summary>
    private void RepairJournal(ImageSession session)
    {
        try
        {
            Opened(_journal).Flush();
        }
        catch (ImageException)
        {
            session.Epochs.RepairJournal();
        }
    }

    private void GoOnFromJournal(IImageSource source, JournalToken token, bool hasBegun)
    {
        _mayOwnLeftovers = true;
        if (hasBegun && !_beginsAnew && _files.Find(_paths.Journal) is null)
            throw ImageFile.Gone(_paths.Journal);
        if (OpenJournal(source) is not { } journal)
        {
            Create(source, token);
            return;
        }

        try
        {
            Interlocked.Exchange(ref _tokenInForce, journal.Token.Number);
            journal.TakeOver(token);
            Publication.Withdraw(_paths, journal.Identity.Inode, _files);

            // What the other process wrote for its publication is written anew.
            UnfinishedImage.RemoveSideFiles(_paths, _files);
            var image = Reopen(source, journal.Identity.Inode, out var watch);
            Id = journal.Identity.ImageId;
            _journal = journal;
            Begin(source, image, watch);
        }
        catch when (Session is null)
        {
            // Its lock would refuse the next try.
            _journal = null;
            journal.Dispose();
            throw;
        }
    }

    /// <summary>Storage that failed may have come back with older data: what the hashes say is believed of a page only if it is there.</summary>
    private void ReadBack()
    {
        var session = Opened(Session);
        session.Track(() =>
        {
            foreach (var engine in Engines)
                PageComparison.MarkLost(engine, session.Image, plan.Options.Writers);
        });
    }

    private ImageFile Reopen(IImageSource source, ulong inode, out StorageWatch watch) =>
        ImageFile.Reopen(_paths.Partial, inode, source.Layout.TailOffset, plan.Options.DirectIo, watch = NewWatch(), _files);

    /// <summary>Reads what is durable, into the engines. Without a usable journal all begins from zero.</summary>
    private JournalFile? OpenJournal(IImageSource source)
    {
        try
        {
            return JournalFile.TryOpen(_paths.Journal, new JournalReplay(identity => Recognise(source, identity)), _files);
        }
        catch (ImageException e) when (e.Fault == ImageFault.Malformed)
        {
            Note($"{e.Message} So every page is written again.");
            _beginsAnew = true;
            _files.Remove(_paths.Journal);
            return null;
        }
    }

    private IReadOnlyList<BlockEngine> Recognise(IImageSource source, JournalIdentity identity)
    {
        if (identity.Migration != plan.Migration)
        {
            throw new ImageException(ImageFault.Busy,
                $"{_paths.Journal} holds the unfinished work of migration {identity.Migration} of guest {identity.Guest}. Resume or cancel that one, or choose another image name.");
        }

        if (identity.Pid != source.Process.Pid || identity.StartTime != source.Process.StartTime || identity.LayoutDigest != LayoutDigest.Compute(source.Layout))
        {
            throw new GuestException(GuestFault.Exited,
                $"The QEMU process {identity.Pid} of guest {plan.Guest} has ended, or its memory has changed its shape, since it was partly saved. Cancel this migration and save again.");
        }

        SetUpEngines(source, resumed: true);
        return Engines;
    }

    private JournalIdentity IdentityOf(IImageSource source, FileIdentity file) => new(
        plan.Migration, plan.Host, plan.Guest, plan.QmpPath, source.Process.Pid, source.Process.StartTime, Id, plan.ImagePath,
        file.Device, file.Inode, LayoutDigest.Compute(source.Layout), [.. source.Layout.Blocks.Select(block => new JournalBlock(block.Name, block.PageCount))],
        plan.Request);

    private void RemoveUnfinished(ImageFile image)
    {
        Publication.Withdraw(_paths, image.Identity.Inode, _files);
        image.Discard();
        _journal?.Remove();
        UnfinishedImage.RemoveSideFiles(_paths, _files);
    }
}

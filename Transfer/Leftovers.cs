using System.Text.RegularExpressions;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>
/// The files that saves left below the storage roots: partial images, journals and other side files. What a living process has locked,
/// or an unfinished migration may go on with, is owned and stays. A name alone is not enough: other programs write files that end in
/// <c>.partial</c> or <c>.journal</c> too, so something beside it must show that it is ours.
/// </summary>
/// <param name="roots">The storage roots.</param>
/// <param name="saves">The saves that the catalog knows.</param>
public sealed partial class Leftovers(IReadOnlyList<string> roots, IReadOnlyList<KnownSave> saves)
{
    private const int MaxFound = 1_000;

    /// <summary>The header, the longest identity and the token lie before this.</summary>
    private const int JournalStart = 2 << 20;

    private const string Previous = ".previous";

    private static readonly ImagePaths Names = new("");

    /// <summary>Files that exist under a lock while they are written.</summary>
    private static readonly string[] Lockable = [Names.Partial, Names.Journal, Names.Journal + ".new"];

    /// <summary>Endings that nobody else uses.</summary>
    private static readonly string[] Unmistakable = [Names.PartialManifest, Names.PartialChecksums, Names.Partial + ".probe"];

    private static readonly string[] SetAside = [Names.Manifest + Previous, Names.Checksums + Previous, Previous];

    /// <summary>Longer endings first, as one may end in another.</summary>
    private static readonly string[] Endings =
        [.. Lockable.Concat(Unmistakable).Concat(SetAside).OrderByDescending(ending => ending.Length)];

    /// <summary>Lazy, because following the links of the roots may hang as well.</summary>
    private readonly Lazy<StorageRoots> _roots = new(() => new StorageRoots(roots));

    /// <summary>Looks for them on a thread of its own, since storage may hang.</summary>
    /// <param name="cancellation">Ends the looking where the storage still answers.</param>
    /// <returns>By path; at most 1000.</returns>
    public Task<IReadOnlyList<LeftoverFile>> FindAsync(CancellationToken cancellation) => StorageThread.RunAsync(() => Find(cancellation));

    /// <summary>Removes files that nobody owns, on a thread of its own. Each is examined again.</summary>
    /// <param name="paths">Their paths, as <see cref="FindAsync"/> gave them.</param>
    /// <param name="cancellation">Ends it between two files.</param>
    /// <returns>What became of each.</returns>
    public Task<IReadOnlyList<LeftoverFile>> RemoveAsync(IReadOnlyList<string> paths, CancellationToken cancellation) =>
        StorageThread.RunAsync<IReadOnlyList<LeftoverFile>>(() =>
        {
            var outcome = new List<LeftoverFile>();
            foreach (var path in paths)
            {
                cancellation.ThrowIfCancellationRequested();
                outcome.Add(Remove(path));
            }

            return outcome;
        });

    internal IReadOnlyList<LeftoverFile> Find(CancellationToken cancellation)
    {
        var found = new SortedDictionary<string, LeftoverFile>(StringComparer.Ordinal);
        var finds = new Dictionary<string, Finding>(StringComparer.Ordinal);
        foreach (var root in roots)
        {
            var walk = new StorageWalk(root, name => ImageOf("/" + name) is not null, cancellation);
            foreach (var path in walk.Candidates())
            {
                if (found.Count >= MaxFound)
                {
                    walk.Stop($"There are more than {MaxFound} leftovers; remove some of these, then look again.");
                    break;
                }

                if (TryResolve(path) is not { } real || found.ContainsKey(real))
                    continue;
                var image = ImageOf(real)!;
                if (!finds.TryGetValue(image, out var finding))
                {
                    finds[image] = finding = Examine(image);
                    finding.Dispose();
                }

                if (Describe(real, finding) is { } file)
                    found[real] = file;
            }

            if (walk.Remark is { } remark)
                found[root] = Kept(root, remark);
        }

        return [.. found.Values];
    }

    internal LeftoverFile Remove(string path)
    {
        if (TryResolve(path) != path || ImageOf(path) is not { } image)
            return Kept(path, "It is not the path of a leftover below a storage root of this host.");
        using var finding = Examine(image);
        if (Describe(path, finding) is not { } file)
            return Kept(path, "It is not there, or no longer a leftover.");
        if (file.IsOwned)
            return file;
        try
        {
            if (!finding.IsInPlace())
                return file with { IsOwned = true, Remark = "Another process has just taken its name; look again." };
            File.Delete(path);
            return file with { IsRemoved = true, Remark = "" };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return file with { Remark = $"It could not be removed: {e.Message}" };
        }
    }

    /// <summary>The image of a side file by its name; null when the name is of another kind.</summary>
    private static string? ImageOf(string path)
    {
        if (Path.GetExtension(path) is { Length: 33 } random && Guid.TryParseExact(random[1..], "N", out _))
        {
            // A manifest that was being written.
            path = path[..^random.Length];
            if (!path.EndsWith(Names.PartialManifest, StringComparison.Ordinal))
                return null;
        }

        if (ProbeName().Match(path) is { Success: true } probe)
            return probe.Groups[1].Value;
        var ending = Array.Find(Endings, ending => path.EndsWith(ending, StringComparison.Ordinal));
        return ending is null || path.Length == ending.Length || path[^(ending.Length + 1)] == '/' ? null : path[..^ending.Length];
    }

    private static LeftoverFile Kept(string path, string remark) => new(path, 0, DateTimeOffset.UnixEpoch, "", "", IsOwned: true, IsRemoved: false, remark);

    private string? TryResolve(string path)
    {
        // A root that cannot be followed is the configuration's fault, not the path's.
        var resolver = _roots.Value;
        try
        {
            return resolver.Resolve(path);
        }
        catch (ImageException)
        {
            return null;
        }
    }

    /// <summary>Finds out whose the files of an image are. Locks are tried last and only where nobody is known to own them,
    /// since a migration that starts at that moment would be refused.</summary>
    private Finding Examine(string image)
    {
        var finding = new Finding(image);
        try
        {
            finding.ReadJournals();
            var save = saves.FirstOrDefault(save => save.IsUnfinished && (save.ImagePath == image || save.Migration == finding.Identity?.Migration));
            finding.Migration = finding.Identity?.Migration ?? save?.Migration ?? "";
            finding.Guest = finding.Identity?.Guest ?? save?.Guest ?? "";
            if (save is not null)
                finding.Owner = $"Migration {save.Migration} of guest {save.Guest} ({save.Phase}) needs it; resume or cancel that one.";
            else
                finding.TryLocks();
            finding.Remark = finding.Identity is { } identity && !saves.Any(save => save.Migration == identity.Migration)
                ? $"Migration {identity.Migration} of host {identity.Host} is not known here; be sure that no other cluster goes on with it."
                : finding.IsDamaged ? "Its journal is damaged, so nothing of it can be used." : "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            finding.Owner = $"It could not be examined: {e.Message}";
        }

        return finding;
    }

    private static LeftoverFile? Describe(string path, Finding finding)
    {
        try
        {
            var info = new FileInfo(path);
            if (!info.Exists || info.LinkTarget is not null || !finding.IsOurs(path))
                return null;
            var owner = finding.Owner ?? (path.EndsWith(Previous, StringComparison.Ordinal) ? finding.ReasonToKeep(path) : null);
            return new LeftoverFile(
                path, Libc.Identify(path).AllocatedBytes, info.LastWriteTimeUtc,
                finding.Migration.Length > 0 ? finding.Migration : ProbeName().Match(path).Groups[2].Value, finding.Guest, owner is not null,
                IsRemoved: false, owner ?? finding.Remark);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e is ErrnoException { Errno: Errno.ENOENT } ? null : Kept(path, $"It could not be examined: {e.Message}");
        }
    }

    /// <summary>What <see cref="SharedStorageProbe"/> leaves: image, migration, and whether the target's host made it.</summary>
    [GeneratedRegex(@"^(.*[^/])\.probe\.(m-[0-9a-z]{8,32})(\.target)?$", RegexOptions.CultureInvariant)]
    private static partial Regex ProbeName();

    /// <summary>What is known of the side files of one image. Holds their locks until it is disposed.</summary>
    private sealed class Finding(string image) : IDisposable, IJournalVisitor
    {
        private readonly List<(string Path, Descriptor File)> _locked = [];
        private bool _hasJournal;

        public JournalIdentity? Identity { get; private set; }

        public bool IsDamaged { get; private set; }

        /// <summary>Why nothing of it may be removed; null when nobody needs it.</summary>
        public string? Owner { get; set; }

        public string Migration { get; set; } = "";

        public string Guest { get; set; } = "";

        public string Remark { get; set; } = "";

        /// <summary>Reads the beginning of the journals: the whole of one may be gigabytes.</summary>
        public void ReadJournals()
        {
            foreach (var ending in new[] { Names.Journal, Names.Journal + ".new", Names.PartialChecksums })
            {
                // Pipes and devices have no length.
                if (Identity is not null || new FileInfo(image + ending) is not { Exists: true, Length: > 0, LinkTarget: null })
                    continue;
                using var file = Libc.Open(image + ending, OpenFlags.ReadOnly);
                using var input = new Start(new DescriptorInput(file));
                try
                {
                    _hasJournal |= !JournalReader.Replay(input, this).IsEmpty;
                }
                catch (JournalException e)
                {
                    _hasJournal |= e.Rule != JournalRule.Header;
                    IsDamaged |= ending == Names.Journal;
                }
            }
        }

        /// <summary>Tries the locks, without waiting.</summary>
        public void TryLocks()
        {
            foreach (var ending in Lockable)
            {
                var path = image + ending;
                if (new FileInfo(path) is not { Exists: true, LinkTarget: null })
                    continue;

                // Network file systems lock only what is open for writing.
                var file = Libc.Open(path, OpenFlags.ReadWrite);
                _locked.Add((path, file));
                if (!Libc.TryLock(file))
                    Owner ??= $"A living process holds {path}.";
            }
        }

        /// <summary>Whether the names still lead to the files that are locked.</summary>
        public bool IsInPlace() => _locked.TrueForAll(held => Libc.Identify(held.Path).IsSameFile(Libc.Identify(held.File)));

        /// <summary>Whether a file was made by us.</summary>
        public bool IsOurs(string path)
        {
            if (path.EndsWith(Previous, StringComparison.Ordinal))
                return ImageInventory.IsImage(image) || ImageInventory.IsImage(image + Previous);
            return Owner is not null && Migration.Length > 0
                || ProbeName().IsMatch(path)
                || _hasJournal
                || ImageInventory.IsImage(image + Names.Partial)
                || path.Contains(Names.PartialManifest, StringComparison.Ordinal)
                || Array.Exists(Unmistakable, ending => File.Exists(image + ending));
        }

        /// <summary>
        /// Why a file that was set aside for a new image stays; null when it may go. Without a trace of a save that was cut off, it may as well
        /// be a copy that somebody made.
        /// </summary>
        public string? ReasonToKeep(string path)
        {
            var published = path[..^Previous.Length];
            if (!File.Exists(published))
                return $"{published} does not exist, so this may be all that is left of it; give it its name back, or remove it by hand.";
            return _hasJournal || File.Exists(image + Names.Partial) || Libc.Identify(path).IsSameFile(Libc.Identify(published))
                ? null
                : "It may be a copy that somebody made; remove it by hand if it is not needed.";
        }

        public void Identify(JournalIdentity identity) => Identity = identity;

        public void Durable(int block, uint epoch, PageRun run, ReadOnlySpan<byte> hashes)
        {
        }

        public void Zero(int block, uint epoch, PageRun run)
        {
        }

        public void Invalidate(int block, PageRun run)
        {
        }

        public void Dispose() => _locked.ForEach(held => held.File.Dispose());
    }

    /// <summary>The beginning of a journal, which is read like one that ends there.</summary>
    private sealed class Start(IImageInput whole) : IImageInput
    {
        public long Length { get; } = Math.Min(whole.Length, JournalStart);

        public void ReadExactly(long offset, Span<byte> buffer) => whole.ReadExactly(offset, buffer);

        public void Dispose() => whole.Dispose();
    }
}

using System.IO.Enumeration;

namespace DistMigrate.Transfer;

/// <summary>Looks through a storage root for files by name, the upper folders first. Links are not followed.</summary>
/// <param name="root">The root.</param>
/// <param name="isWanted">Whether a file of that name is looked for.</param>
/// <param name="cancellation">Ends it.</param>
internal sealed class StorageWalk(string root, Predicate<string> isWanted, CancellationToken cancellation)
{
    private const int MaxDepth = 8;

    /// <summary>Entries of folders looked at below one root: a home folder may hold millions.</summary>
    private const int MaxEntries = 500_000;

    private static readonly EnumerationOptions All = new() { AttributesToSkip = 0, IgnoreInaccessible = false };

    private int _entries;
    private int _unreadable;
    private string _firstUnreadable = "";
    private string? _stopped;

    /// <summary>What was not looked at; null when everything was.</summary>
    public string? Remark
    {
        get
        {
            var unreadable = _unreadable == 0 ? null : $"{_unreadable} folder(s) below it could not be read: {_firstUnreadable}";
            return (_stopped, unreadable) switch
            {
                (null, _) => unreadable,
                (_, null) => _stopped,
                _ => $"{_stopped} {unreadable}",
            };
        }
    }

    /// <summary>Ends it, and says why.</summary>
    public void Stop(string remark) => _stopped = remark;

    /// <summary>The paths of the files that are looked for.</summary>
    public IEnumerable<string> Candidates()
    {
        var folders = new Queue<(string Path, int Depth)>([(root, 0)]);
        while (_stopped is null && folders.TryDequeue(out var folder))
        {
            foreach (var (path, isFolder) in Read(folder.Path))
            {
                if (!isFolder)
                    yield return path;
                else if (folder.Depth < MaxDepth)
                    folders.Enqueue((path, folder.Depth + 1));
            }
        }
    }

    private List<(string Path, bool IsFolder)> Read(string folder)
    {
        try
        {
            return [.. new FileSystemEnumerable<(string, bool)>(folder, (ref entry) => (entry.ToFullPath(), entry.IsDirectory), All)
            {
                ShouldIncludePredicate = IsWorthALook,
            }];
        }
        catch (DirectoryNotFoundException)
        {
            // A root need not exist, and folders come and go.
            return [];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (_unreadable++ == 0)
                _firstUnreadable = e.Message;
            return [];
        }
    }

    private bool IsWorthALook(ref FileSystemEntry entry)
    {
        cancellation.ThrowIfCancellationRequested();
        if (++_entries > MaxEntries)
        {
            Stop($"It holds more than {MaxEntries} files, so not all of it was looked at; choose narrower storage roots.");
            return false;
        }

        return (entry.IsDirectory || isWanted(entry.FileName.ToString())) && !entry.Attributes.HasFlag(FileAttributes.ReparsePoint);
    }
}

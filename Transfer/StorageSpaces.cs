namespace DistMigrate.Transfer;

/// <summary>A folder and the space of its file system.</summary>
/// <param name="Path">The folder.</param>
/// <param name="FreeBytes">Bytes that this user may write there; null when the storage does not tell.</param>
/// <param name="TotalBytes">Bytes of the file system; null when the storage does not tell.</param>
public sealed record FolderSpace(string Path, long? FreeBytes, long? TotalBytes);

/// <summary>The space of a host's storage roots. A storage that does not answer costs one thread, and the asker a moment.</summary>
/// <param name="roots">Folders.</param>
/// <param name="time">The clock.</param>
public sealed class StorageSpaces(IReadOnlyList<string> roots, TimeProvider time)
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(500);

    private readonly Lock _gate = new();
    private readonly Dictionary<string, Task<FolderSpace>> _underWay = [];

    /// <summary>Each root as its storage tells now, or without figures when it does not in time.</summary>
    public async Task<IReadOnlyList<FolderSpace>> AskAsync()
    {
        var patience = Task.Delay(Patience, time);
        return await Task.WhenAll(roots.Select(async root =>
        {
            var answer = Ask(root);
            return await Task.WhenAny(answer, patience) == answer ? await answer : new FolderSpace(root, null, null);
        }));
    }

    private Task<FolderSpace> Ask(string root)
    {
        lock (_gate)
        {
            if (!_underWay.TryGetValue(root, out var answer) || answer.IsCompleted)
                _underWay[root] = answer = StorageThread.RunAsync(() => Read(root));
            return answer;
        }
    }

    private static FolderSpace Read(string root)
    {
        try
        {
            var drive = new DriveInfo(root);
            return new FolderSpace(root, drive.AvailableFreeSpace, drive.TotalSize);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Most defaults are not there on most machines.
            return new FolderSpace(root, null, null);
        }
    }
}

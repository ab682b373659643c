namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>The names, lengths and times of a folder's files at one moment.</summary>
internal sealed class FolderState
{
    private readonly string _folder;
    private readonly IReadOnlyList<string> _entries;

    private FolderState(string folder)
    {
        _folder = folder;
        _entries = Entries(folder);
    }

    public static FolderState Of(string folder) => new(folder);

    /// <summary>Whether no file came, went or changed since.</summary>
    public bool IsUnchanged => Entries(_folder).SequenceEqual(_entries);

    /// <summary>Asserts that no file came, went or changed since.</summary>
    /// <param name="what">What happened meanwhile, for the message.</param>
    public void ExpectUnchanged(string what = "It")
    {
        var now = Entries(_folder);
        if (!now.SequenceEqual(_entries))
        {
            Assert.Fail($"{what}\nchanged the folder {_folder}.\nCame: {string.Join(", ", now.Except(_entries))}\nWent: {string.Join(", ", _entries.Except(now))}");
        }
    }

    private static List<string> Entries(string folder) =>
    [
        .. new DirectoryInfo(folder).EnumerateFileSystemInfos()
            .OrderBy(entry => entry.Name, StringComparer.Ordinal)
            .Select(entry => entry is FileInfo file ? $"{file.Name} {file.Length} {file.LastWriteTimeUtc:O}" : $"{entry.Name}/"),
    ];
}

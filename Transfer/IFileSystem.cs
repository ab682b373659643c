using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>The calls on names that files which must outlive a crash need; a test puts a file system in their place that fails and forgets.</summary>
internal interface IFileSystem
{
    /// <inheritdoc cref="Libc.Open"/>
    IStoredFile Open(string path, OpenFlags flags);

    /// <summary>What a name leads to; null when there is no such name.</summary>
    /// <exception cref="ErrnoException">statx(2) failed.</exception>
    FileIdentity? Find(string path);

    /// <summary>The paths of all files of a folder.</summary>
    /// <exception cref="IOException">The folder cannot be read.</exception>
    IEnumerable<string> List(string folder);

    /// <inheritdoc cref="Libc.Rename"/>
    void Rename(string from, string to, bool replace);

    /// <inheritdoc cref="Libc.Link"/>
    void Link(string existing, string name);

    /// <summary>Removes a name; one that is gone is no error.</summary>
    /// <exception cref="IOException">It could not be removed.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be removed.</exception>
    void Remove(string path);

    /// <inheritdoc cref="Libc.FSyncFolder"/>
    void FSyncFolder(string folder);
}

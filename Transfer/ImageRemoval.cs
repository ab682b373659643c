namespace DistMigrate.Transfer;

/// <summary>Removes an image that nobody needs any more, such as that of a move, with all that lies beside it.</summary>
internal static class ImageRemoval
{
    /// <summary>
    /// Removes the image first, durably, so that at no moment somebody finds it without its claims; and each release before its claim,
    /// since a release alone would release the claim of that number of a later image. Repeating it goes on where it failed. Where
    /// another image has the name, that and what lies beside it stay as they are.
    /// </summary>
    /// <param name="imagePath">The published image.</param>
    /// <param name="inode">Its inode.</param>
    /// <param name="files">The file system; this machine's by default.</param>
    /// <returns>False when another image has the name.</returns>
    /// <exception cref="ImageException">The storage failed; some of it may be left.</exception>
    public static bool Remove(string imagePath, ulong inode, IFileSystem? files = null) => StorageCalls.Translated(imagePath, () =>
    {
        var paths = new ImagePaths(imagePath);
        files ??= HostFileSystem.Instance;
        if (files.Find(paths.Image) is { } there)
        {
            if (there.Inode != inode)
                return false;
            files.Remove(paths.Image);
        }

        files.FSyncFolder(paths.Folder);
        var numbers = ClaimRegister.ClaimNumbers(paths, files).ToList();
        return RemoveAll([paths.Checksums, paths.Manifest, .. numbers.Select(paths.Release)])
            && RemoveAll([.. numbers.Select(paths.Claim)]);

        bool RemoveAll(IReadOnlyList<string> names)
        {
            foreach (var name in names.Where(name => files.Find(name) is not null))
            {
                // Another save may have published meanwhile; then this is its own.
                if (files.Find(paths.Image) is not null)
                    return false;
                files.Remove(name);
            }

            files.FSyncFolder(paths.Folder);
            return true;
        }
    });
}

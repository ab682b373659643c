using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>Small files that are either whole and durable or not there: written under another name, fsynced, then named.</summary>
internal static class DurableFile
{
    /// <summary>Writes a file, replacing one of that name.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="content">All of it.</param>
    /// <param name="files">The file system; this machine's by default.</param>
    /// <exception cref="ErrnoException">The storage failed; the old file, if any, still stands.</exception>
    public static void Write(string path, ReadOnlySpan<byte> content, IFileSystem? files = null)
    {
        files ??= HostFileSystem.Instance;
        var temporary = WriteTemporary(files, path, content);
        try
        {
            files.Rename(temporary, path, replace: true);
        }
        catch (ErrnoException)
        {
            files.Remove(temporary);
            throw;
        }

        files.FSyncFolder(Path.GetDirectoryName(path)!);
    }

    /// <summary>Writes a file of which the name must not exist, decided by the file system for all hosts that share it.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="content">All of it.</param>
    /// <param name="files">The file system; this machine's by default.</param>
    /// <returns>False when the name is taken.</returns>
    /// <exception cref="IOException">The storage failed otherwise; whether the name was taken by us is then not known.</exception>
    public static bool TryCreate(string path, ReadOnlySpan<byte> content, IFileSystem? files = null)
    {
        files ??= HostFileSystem.Instance;
        var temporary = WriteTemporary(files, path, content);
        try
        {
            files.Link(temporary, path);
        }
        catch (ErrnoException e) when (e.Errno == Errno.EEXIST)
        {
            return false;
        }
        catch (ErrnoException e) when (e.Errno is Errno.EPERM or Errno.EOPNOTSUPP or Errno.ENOSYS)
        {
            // A file system without second names: the exclusive create decides, and a crash before its content leaves a damaged file.
            if (!TryCreateInPlace(files, path, content))
                return false;
        }
        finally
        {
            files.Remove(temporary);
        }

        files.FSyncFolder(Path.GetDirectoryName(path)!);
        return true;
    }

    private static bool TryCreateInPlace(IFileSystem files, string path, ReadOnlySpan<byte> content)
    {
        try
        {
            WriteNew(files, path, content);
            return true;
        }
        catch (ErrnoException e) when (e.Errno == Errno.EEXIST)
        {
            return false;
        }
    }

    /// <summary>Removes what writes of a process that ended meanwhile left beside a file.</summary>
    public static void RemoveTemporaries(string path, IFileSystem? files = null)
    {
        files ??= HostFileSystem.Instance;
        foreach (var file in files.List(Path.GetDirectoryName(path)!).ToList())
        {
            if (file.StartsWith(path + ".", StringComparison.Ordinal) && Guid.TryParseExact(file[(path.Length + 1)..], "N", out _))
                files.Remove(file);
        }
    }

    private static string WriteTemporary(IFileSystem files, string path, ReadOnlySpan<byte> content)
    {
        var temporary = $"{path}.{Guid.NewGuid():N}";
        WriteNew(files, temporary, content);
        return temporary;
    }

    /// <summary>Writes a file that did not exist, or none.</summary>
    private static void WriteNew(IFileSystem files, string path, ReadOnlySpan<byte> content)
    {
        using var file = files.Open(path, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Exclusive);
        try
        {
            file.Write(content, 0);
            file.FSync();
            file.CloseChecked();
        }
        catch (ErrnoException)
        {
            files.Remove(path);
            throw;
        }
    }
}

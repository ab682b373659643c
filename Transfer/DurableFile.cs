using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>Small files that are either whole and durable or not there: written under another name, fsynced, then named.</summary>
internal static class DurableFile
{
    /// <summary>Writes a file, replacing one of that name.</summary>
    /// <exception cref="ErrnoException">The storage failed; the old file, if any, still stands.</exception>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        var temporary = WriteTemporary(path, content);
        try
        {
            Libc.Rename(temporary, path, replace: true);
        }
        catch (ErrnoException)
        {
            File.Delete(temporary);
            throw;
        }

        Libc.FSyncFolder(Path.GetDirectoryName(path)!);
    }

    /// <summary>Writes a file of which the name must not exist, decided by the file system for all hosts that share it.</summary>
    /// <returns>False when the name is taken.</returns>
    /// <exception cref="ErrnoException">The storage failed otherwise; whether the name was taken by us is then not known.</exception>
    public static bool TryCreate(string path, ReadOnlySpan<byte> content)
    {
        var temporary = WriteTemporary(path, content);
        try
        {
            Libc.Link(temporary, path);
        }
        catch (ErrnoException e) when (e.Errno == Errno.EEXIST)
        {
            return false;
        }
        catch (ErrnoException e) when (e.Errno is Errno.EPERM or Errno.EOPNOTSUPP or Errno.ENOSYS)
        {
            // A file system without second names: the exclusive create decides, and a crash before its content leaves a damaged file.
            if (!TryCreateInPlace(path, content))
                return false;
        }
        finally
        {
            File.Delete(temporary);
        }

        Libc.FSyncFolder(Path.GetDirectoryName(path)!);
        return true;
    }

    private static bool TryCreateInPlace(string path, ReadOnlySpan<byte> content)
    {
        try
        {
            using var file = Libc.Open(path, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Exclusive);
            Libc.PWriteExactly(file, content, 0);
            Libc.FSync(file);
            return true;
        }
        catch (ErrnoException e) when (e.Errno == Errno.EEXIST)
        {
            return false;
        }
    }

    /// <summary>Removes what writes of a process that ended meanwhile left beside a file.</summary>
    public static void RemoveTemporaries(string path)
    {
        foreach (var file in Directory.EnumerateFiles(Path.GetDirectoryName(path)!))
        {
            if (file.StartsWith(path + ".", StringComparison.Ordinal) && Guid.TryParseExact(file[(path.Length + 1)..], "N", out _))
                File.Delete(file);
        }
    }

    private static string WriteTemporary(string path, ReadOnlySpan<byte> content)
    {
        var temporary = $"{path}.{Guid.NewGuid():N}";
        using var file = Libc.Open(temporary, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Exclusive);
        try
        {
            Libc.PWriteExactly(file, content, 0);
            Libc.FSync(file);
            file.CloseChecked();
            return temporary;
        }
        catch (ErrnoException)
        {
            File.Delete(temporary);
            throw;
        }
    }
}

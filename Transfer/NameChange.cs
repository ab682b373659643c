using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>
/// Gives several files of one folder their names, or none of them: what stood under a name is set aside, and put back when a later
/// step fails. Nothing is durable, and nothing that was set aside is removed, before <see cref="Commit"/>. Network storage may carry
/// a step out and tell of an error, so what is taken back is what stands there, not what was told.
/// </summary>
/// <param name="files">The file system.</param>
internal sealed class NameChange(IFileSystem files)
{
    private const string AsideSuffix = ".previous";

    private readonly Stack<Action> _undo = new();
    private readonly List<string> _aside = [];

    /// <summary>Renames a file; one that has the name already is set aside first when it may be replaced.</summary>
    /// <exception cref="ErrnoException">The storage failed; EEXIST when the name is taken and may not be replaced.</exception>
    public void Move(string from, string to, bool replace)
    {
        var file = files.Find(from) ?? throw new ErrnoException("rename", Errno.ENOENT, from);
        var replaces = replace && files.Find(to) is not null;
        if (replaces)
            SetAside(to);
        _undo.Push(() => MoveBack(files, file, from, to, replaces));
        if (replace)
            Rename(files, from, to, replace: true);
        else
            MoveNew(from, to);
    }

    /// <summary>Frees a name.</summary>
    /// <exception cref="ErrnoException">The storage failed.</exception>
    public void Remove(string path)
    {
        if (files.Find(path) is null)
            return;
        _aside.Add(path + AsideSuffix);
        _undo.Push(() => Recover(files, path));
        Rename(files, path, path + AsideSuffix, replace: true);
    }

    /// <summary>Makes the names durable.</summary>
    /// <exception cref="ErrnoException">The folder could not be synced; the names may be taken back.</exception>
    public void Commit(string folder)
    {
        files.FSyncFolder(folder);
        _undo.Clear();
    }

    /// <summary>Removes what was set aside.</summary>
    /// <exception cref="IOException">Something of it could not be removed.</exception>
    public void RemoveSetAside()
    {
        foreach (var path in _aside)
            files.Remove(path);
    }

    /// <summary>Takes every step back, the last one first.</summary>
    /// <exception cref="ErrnoException">The storage failed; what was not taken back stays.</exception>
    /// <exception cref="IOException">The storage failed; what was not taken back stays.</exception>
    public void TakeBack()
    {
        while (_undo.TryPeek(out var step))
        {
            step();
            _undo.Pop();
        }
    }

    /// <summary>Gives an image that was not published, since its process ended in the middle or could not take its names back, its
    /// partial name again.</summary>
    /// <exception cref="ErrnoException">The storage failed.</exception>
    /// <exception cref="IOException">The storage failed.</exception>
    public static void MoveBack(IFileSystem files, FileIdentity file, string from, string to) =>
        MoveBack(files, file, from, to, replaced: files.Find(to + AsideSuffix) is not null);

    /// <summary>Puts right what a process left that ended in the middle: what was set aside gets its name back where that is free.</summary>
    /// <exception cref="ErrnoException">The storage failed.</exception>
    /// <exception cref="IOException">The storage failed.</exception>
    public static void Recover(IFileSystem files, params IEnumerable<string> paths)
    {
        foreach (var path in paths)
        {
            var aside = path + AsideSuffix;
            if (files.Find(aside) is null)
                continue;
            if (files.Find(path) is null)
                Rename(files, aside, path, replace: true);
            files.Remove(aside);
        }
    }

    /// <summary>Gives a file its old name back, if it has lost that, and its new name to what was set aside for it.</summary>
    private static void MoveBack(IFileSystem files, FileIdentity file, string from, string to, bool replaced)
    {
        if (IsAt(files, to, file) && !IsAt(files, from, file) && !(replaced && TryLink(files, to, from)))
            Rename(files, to, from, replace: true);
        if (replaced)
        {
            // Renaming one name of a file to its other one does nothing.
            Rename(files, to + AsideSuffix, to, replace: true);
            files.Remove(to + AsideSuffix);
        }
        else if (IsAt(files, to, file))
        {
            files.Remove(to);
        }
    }

    private static bool IsAt(IFileSystem files, string path, FileIdentity file) => files.Find(path) is { } there && there.IsSameFile(file);

    private static void Rename(IFileSystem files, string from, string to, bool replace)
    {
        var file = files.Find(from);
        try
        {
            files.Rename(from, to, replace);
        }
        catch (ErrnoException) when (file is { } moved && IsAt(files, to, moved) && files.Find(from) is null)
        {
            // It was carried out.
        }
    }

    /// <returns>False where there are no second names.</returns>
    private static bool TryLink(IFileSystem files, string existing, string name)
    {
        try
        {
            files.Link(existing, name);
        }
        catch (ErrnoException e) when (e.Errno is Errno.EPERM or Errno.EOPNOTSUPP or Errno.ENOSYS)
        {
            return false;
        }
        catch (ErrnoException) when (files.Find(existing) is { } file && IsAt(files, name, file))
        {
            // It was carried out.
        }

        return true;
    }

    /// <summary>By a second name, so that the first one never leads nowhere; where there are none, by renaming.</summary>
    private void SetAside(string path)
    {
        var aside = path + AsideSuffix;
        files.Remove(aside);
        _aside.Add(aside);
        _undo.Push(() => Recover(files, path));
        if (!TryLink(files, path, aside))
            Rename(files, path, aside, replace: true);
    }

    private void MoveNew(string from, string to)
    {
        try
        {
            Rename(files, from, to, replace: false);
        }
        catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.ENOSYS)
        {
            // Network file systems lack RENAME_NOREPLACE; a second name excludes an existing one as well.
            files.Link(from, to);
            files.Remove(from);
        }
    }
}

using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>The files that the checks make in a folder: known by their names, and removed in any case.</summary>
internal sealed class ProbeFiles(string folder)
{
    private const string Prefix = ".distmigrate-doctor-";

    /// <summary>So old, nobody's check uses a file any longer.</summary>
    private static readonly TimeSpan Stale = TimeSpan.FromHours(1);

    private readonly string _mark = Guid.NewGuid().ToString("N")[..12];
    private readonly HashSet<string> _names = [];

    /// <summary>The path of a file that does not exist.</summary>
    public string NewPath(string name)
    {
        var path = Path.Combine(folder, $"{Prefix}{_mark}-{name}");
        _names.Add(path);
        return path;
    }

    /// <summary>The path of the file whose lock another host looks at; the same for all of them.</summary>
    public static string SharedLock(string folder) => Path.Combine(folder, $"{Prefix}lock");

    /// <summary>Creates a file for reading and writing.</summary>
    /// <exception cref="ErrnoException">The storage refused.</exception>
    public Descriptor Create(string name, OpenFlags more = OpenFlags.ReadOnly) =>
        Libc.Open(NewPath(name), OpenFlags.ReadWrite | OpenFlags.Create | OpenFlags.Exclusive | more);

    /// <summary>Removes a file at once, to give its space back.</summary>
    /// <exception cref="IOException">The storage refused.</exception>
    public void Remove(string path)
    {
        File.Delete(path);
        _names.Remove(path);
    }

    /// <summary>Removes all of them.</summary>
    /// <returns>For each that could not be removed: its path and why.</returns>
    public IReadOnlyList<string> RemoveAll()
    {
        var left = new List<string>();
        foreach (var path in _names)
        {
            try
            {
                File.Delete(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                left.Add($"{path} ({e.Message.TrimEnd('.')})");
            }
        }
        _names.Clear();
        return left;
    }

    /// <summary>Removes what a check left that was killed. The lock's file stays, since a living process may hold it.</summary>
    /// <exception cref="IOException">The storage refused.</exception>
    /// <exception cref="UnauthorizedAccessException">The storage refused.</exception>
    public static void RemoveStale(string folder, TimeProvider time)
    {
        foreach (var path in Directory.EnumerateFiles(folder, Prefix + "*").Where(path => path != SharedLock(folder)).ToList())
        {
            if (time.GetUtcNow() - File.GetLastWriteTimeUtc(path) > Stale)
                File.Delete(path);
        }
    }
}

using System.Text.Json;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>The load records of this host: from them a silo that starts knows which QEMUs wait for, or run, a guest of a migration.</summary>
/// <param name="folder">A folder on the host's local disk; created when missing.</param>
public sealed class LoadRecords(string folder)
{
    /// <summary>Makes a record durable.</summary>
    /// <exception cref="ImageException">The local disk failed.</exception>
    internal void Write(LoadRecord record)
    {
        try
        {
            Directory.CreateDirectory(folder);
            DurableFile.Write(PathOf(record.Migration), JsonSerializer.SerializeToUtf8Bytes(record, TransferJson.Default.LoadRecord));
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }

    /// <summary>The record of a migration, or null.</summary>
    /// <exception cref="ImageException">It cannot be read.</exception>
    public LoadRecord? Find(string migration) => SideFile.Read(PathOf(migration), TransferJson.Default.LoadRecord);

    /// <summary>The migrations that have one.</summary>
    public IReadOnlyList<string> List() =>
        Directory.Exists(folder) ? [.. Directory.GetFiles(folder, "*.json").Select(path => Path.GetFileNameWithoutExtension(path))] : [];

    /// <summary>Forgets a record; there may be none.</summary>
    public void Forget(string migration)
    {
        var path = PathOf(migration);
        if (!File.Exists(path))
            return;
        File.Delete(path);
        Libc.FSyncFolder(folder);
    }

    private string PathOf(string migration) => Path.Combine(folder, migration + ".json");
}

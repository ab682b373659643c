using DistMigrate.Posix;

namespace DistMigrate.Silo;

/// <summary>Excludes a second silo with the same state folder; held for the life of the process.</summary>
internal sealed class SiloLock : IDisposable
{
    private readonly List<Descriptor> _held = [];

    /// <summary>Takes the lock of a state folder.</summary>
    /// <returns>Null when another process holds it.</returns>
    public static SiloLock? TryTake(string stateFolder)
    {
        PrivateFolder.Create(stateFolder);
        var taken = new SiloLock();
        return taken.TryAdd(Path.Combine(stateFolder, "silo.lock")) ? taken : null;
    }

    /// <summary>Takes a further lock, such as that of the host's name in its cluster.</summary>
    /// <returns>False when another process holds it.</returns>
    public bool TryAdd(string path)
    {
        var file = Libc.Open(path, OpenFlags.ReadWrite | OpenFlags.Create);
        if (Libc.TryLock(file))
        {
            _held.Add(file);
            return true;
        }

        file.Dispose();
        return false;
    }

    public void Dispose() => _held.ForEach(file => file.Dispose());
}

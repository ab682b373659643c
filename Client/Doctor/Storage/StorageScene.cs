namespace DistMigrate.Client.Doctor.Storage;

/// <summary>A folder that is examined.</summary>
/// <param name="Folder">As it was named, absolute.</param>
/// <param name="Program">This command's own executable, to be a second process.</param>
/// <param name="Peer">The host that holds the lock meanwhile; null when none is named.</param>
/// <param name="Time">The clock.</param>
/// <param name="Cancellation">Ends the checks that take a while.</param>
internal sealed record StorageScene(string Folder, string Program, string? Peer, TimeProvider Time, CancellationToken Cancellation)
{
    /// <summary>Its files.</summary>
    public ProbeFiles Files { get; } = new(Folder);

    /// <summary>The folder with all links followed, once that is known to exist.</summary>
    public string Resolved { get; set; } = Folder;

    /// <summary>The file system that it is on, once that is known.</summary>
    public MountEntry? Mount { get; set; }

    /// <summary>Whether it lies in memory, where fsync has nothing to do.</summary>
    public bool IsInMemory => Mount is not null && MountAdvice.IsInMemory(Mount);

    /// <summary>What to do about an operation that only newer NFS has; else the other advice.</summary>
    public string FixOnNfs(string other) => Mount is not null && MountAdvice.IsNfs(Mount) ? "mount it with vers=4.2, if the server has that" : other;
}

namespace DistMigrate.Guests;

/// <summary>Where the sockets, files and memory of a launched QEMU go. All paths are absolute.</summary>
/// <param name="Folder">The launch's own folder: log, record, sockets and output files of the guest's devices.</param>
/// <param name="MonitorPath">Our own monitor socket.</param>
/// <param name="MemoryFolder">Where files of guest RAM are made, most often <c>/dev/shm</c>.</param>
/// <param name="MemoryPrefix">Begins the name of each such file; unique to this launch among all that share the memory folder.</param>
public sealed record LaunchPlacement(string Folder, string MonitorPath, string MemoryFolder, string MemoryPrefix);

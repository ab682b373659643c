namespace DistMigrate.Transfer;

/// <summary>A QEMU on this host that an image is, or was, loaded into, durable on the host's local disk before that.</summary>
/// <param name="Migration">The migration.</param>
/// <param name="Guest">The guest's name.</param>
/// <param name="QmpPath">Its monitor socket.</param>
/// <param name="Process">The QEMU process.</param>
/// <param name="ImagePath">The image's path.</param>
/// <param name="IsLaunched">Whether a silo launched it, and so may end it.</param>
/// <param name="MayHaveRun">Whether we may have let the guest run: once that is on record, no other QEMU may have it without somebody's word.</param>
/// <param name="IsPreloading">Whether its memory may hold pages of the guest before it has loaded: then it is of no use to another process.</param>
public sealed record LoadRecord(
    string Migration, string Guest, string QmpPath, ProcessIdentity Process, string ImagePath, bool IsLaunched, bool MayHaveRun,
    bool IsPreloading = false);

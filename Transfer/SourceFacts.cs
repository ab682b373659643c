using DistMigrate.Guests;

namespace DistMigrate.Transfer;

/// <summary>What the target of a move has to know of the guest before that is stopped. The argument list may hold secrets: it is not to be kept or logged.</summary>
/// <param name="Description">How the guest is built.</param>
/// <param name="Arguments">The argument list of its QEMU, the program first.</param>
/// <param name="WorkingFolder">The folder that relative paths in it start from; empty when not known.</param>
/// <param name="RamBytes">Bytes of its RAMBlocks.</param>
/// <param name="UsedBytes">Bytes of them that may hold something else than zeros; 0 when its image is published.</param>
/// <param name="IsRunning">Whether it runs.</param>
/// <param name="DirtyLog">What its dirty log is worth.</param>
public sealed record SourceFacts(
    GuestDescription Description, IReadOnlyList<string> Arguments, string WorkingFolder, long RamBytes, long UsedBytes = 0, bool IsRunning = false,
    DirtyLog DirtyLog = DirtyLog.Complete);

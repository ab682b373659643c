namespace DistMigrate.Contracts;

/// <summary>What is to be expected of a migration. Times are estimates: for storage and a load of 1 GB/s each, or the bandwidth limit.</summary>
/// <param name="Mode">How the guest would be saved: as was asked, or as its state and its QEMU allow.</param>
/// <param name="RamBytes">Bytes of its RAMBlocks.</param>
/// <param name="UsedBytes">Bytes of them that may hold something else than zeros: about what is written.</param>
/// <param name="FreeBytes">Free bytes of the storage; null when it did not tell.</param>
/// <param name="ExpectedWriting">How long its pages take to be written.</param>
/// <param name="ExpectedDowntime">How long it would stand still; zero for a guest that is paused already.</param>
/// <param name="AllowedDowntime">How long it may before its image is published; null where that has no limit.</param>
/// <param name="ExpectedLoad">The part of the downtime that a move's target takes; zero otherwise.</param>
/// <param name="IsFillable">Move: whether the target's QEMU can be filled while the guest still runs; null otherwise.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.PlanReport")]
public sealed record PlanReport(
    [property: Id(0)] SaveMode Mode,
    [property: Id(1)] long RamBytes,
    [property: Id(2)] long UsedBytes,
    [property: Id(3)] long? FreeBytes,
    [property: Id(4)] TimeSpan ExpectedWriting,
    [property: Id(5)] TimeSpan ExpectedDowntime,
    [property: Id(6)] TimeSpan? AllowedDowntime,
    [property: Id(7)] TimeSpan ExpectedLoad,
    [property: Id(8)] bool? IsFillable);

namespace DistMigrate.Transfer;

/// <summary>Pages of a part of a RAMBlock by state, as <see cref="BlockCounters"/> has them of the whole.</summary>
/// <param name="Dirty">Pages to be written.</param>
/// <param name="InFlight">Pages being read and written.</param>
/// <param name="Written">Pages written since the last good fsync.</param>
/// <param name="Durable">Pages that a good fsync covers.</param>
/// <param name="Zero">Pages that are zero, among the written and durable ones.</param>
public readonly record struct CellCounts(long Dirty, long InFlight, long Written, long Durable, long Zero);

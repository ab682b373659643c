using DistMigrate.Contracts;

namespace DistMigrate.Client.Watching;

/// <summary>A migration and its RAMBlocks at one moment.</summary>
internal sealed record Snapshot(MigrationStatus Status, IReadOnlyList<BlockStatus> Blocks);

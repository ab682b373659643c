using Orleans.Concurrency;

namespace DistMigrate.Contracts;

/// <summary>
/// One RAMBlock of a guest, by <c>host/guest/ramblock</c>, activated on that host alone: the owner of the block's dirty and
/// shadow bitmaps. Only through it do they change, and does writing start and stop. Each command is idempotent by token and
/// iteration and answers within its slice.
/// </summary>
[Alias("distmigrate.IRamBlockGrain")]
public interface IRamBlockGrain : IGrainWithStringKey
{
    /// <summary>Takes the block into a migration: dirty bitmap all ones, shadow bitmap all zeros; in a resumed one, as its journal says.</summary>
    [Alias("Setup")]
    Task<BlockStatus> Setup(BlockCommand command);

    /// <summary>Starts the writers on the block's dirty pages, and waits for them up to the command's slice.</summary>
    [Alias("Iterate")]
    Task<BlockStatus> Iterate(BlockCommand command);

    /// <summary>Brings in the pages that changed since they were written, before the command's iteration. Ready once that is done.</summary>
    [Alias("SyncDirty")]
    Task<BlockStatus> SyncDirty(BlockCommand command);

    /// <summary>Hands the shadow bitmap to the image writer; refuses while a page is dirty or in flight.</summary>
    [Alias("Complete")]
    Task<BlockStatus> Complete(BlockCommand command);

    /// <summary>Stops the writers on this block and forgets the migration.</summary>
    [Alias("Cancel")]
    Task<BlockStatus> Cancel(BlockCommand command);

    /// <summary>The block as it is now. Always answers.</summary>
    [AlwaysInterleave, Alias("GetStatus")]
    Task<BlockStatus> GetStatus();

    /// <summary>Its pages by state along the block, which is cut into cells of equal size; each page lies in one cell, and no cell is without
    /// pages. Always answers.</summary>
    /// <param name="migrationId">The migration that works on it.</param>
    /// <param name="cells">The most cells: 1 to 1024; a block of fewer pages has as many as pages.</param>
    /// <returns>The cells from the block's start; none when this host does not, or does not any longer, work on the block for that migration.</returns>
    [AlwaysInterleave, Alias("GetMap")]
    Task<IReadOnlyList<PageCounts>> GetMap(string migrationId, int cells);
}

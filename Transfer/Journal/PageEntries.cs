using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Transfer.Journal;

/// <summary>Tells what is durably known of pages: for each its <see cref="JournalEntry"/>.</summary>
/// <param name="run">The pages, at most <see cref="JournalAppender.ChunkPages"/>.</param>
/// <param name="entries">One per page, <see cref="JournalEntry.None"/> when handed over: set what is known.</param>
internal delegate void PageEntries(PageRun run, Span<UInt128> entries);

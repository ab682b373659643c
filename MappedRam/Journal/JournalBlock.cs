namespace DistMigrate.MappedRam.Journal;

/// <summary>A RAMBlock that the records of a journal speak of by its index.</summary>
/// <param name="Name">QEMU's <c>idstr</c>.</param>
/// <param name="Pages">How many pages it has.</param>
public sealed record JournalBlock(string Name, long Pages);

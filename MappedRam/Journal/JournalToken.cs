namespace DistMigrate.MappedRam.Journal;

/// <summary>Who may write: grows with every take-over.</summary>
/// <param name="Number">From 1 on.</param>
/// <param name="Id">Random, made with the number.</param>
public readonly record struct JournalToken(long Number, Guid Id);

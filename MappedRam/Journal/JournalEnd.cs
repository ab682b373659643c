namespace DistMigrate.MappedRam.Journal;

/// <summary>Where a journal ends, and how it goes on.</summary>
/// <param name="Identity">Whose journal it is; null when it is empty.</param>
/// <param name="Token">The token in force; its number is 0 when the journal is empty.</param>
/// <param name="ValidLength">Bytes of the file that hold; what is behind them is a torn tail. 0 when the journal is empty.</param>
/// <param name="IsTorn">Whether there is a torn tail: records that were not durable when the writer died.</param>
/// <param name="SealOffset">Where the last seal stands; 0 when there is none. What follows it may not be durable yet.</param>
/// <param name="NextSequence">The number of the record that comes next.</param>
/// <param name="ImageLength">The image's length in bytes when the journal is complete, else null.</param>
/// <param name="Seed">The seed of the checksums.</param>
public sealed record JournalEnd(
    JournalIdentity? Identity, JournalToken Token, long ValidLength, bool IsTorn, long SealOffset, ulong NextSequence,
    long? ImageLength, ulong Seed)
{
    /// <summary>Whether it holds nothing: its writer died before it was durable.</summary>
    public bool IsEmpty => Token.Number == 0;
}

using System.IO.Hashing;

namespace DistMigrate.MappedRam.Journal;

/// <summary>
/// What a journal says of one page, in 16 bytes: nothing, that it is a zero page, or the XxHash128 of its 4096 bytes, seed 0. The
/// first two let one record speak of scattered pages, which costs less than a record for each.
/// </summary>
public static class JournalEntry
{
    /// <summary>Bytes of an entry in the file: a little-endian u128.</summary>
    public const int Length = 16;

    /// <summary>The record says nothing of the page.</summary>
    public static UInt128 None => UInt128.Zero;

    /// <summary>The page is durable and reads as zero from the file; its shadow bit is clear.</summary>
    public static UInt128 Zero => UInt128.One;

    /// <summary>The entry of a page that has <paramref name="hash"/>.</summary>
    /// <returns>
    /// The hash. One page in 2^127 has a hash that means something else; it counts as unknown, so that it is written again
    /// rather than believed.
    /// </returns>
    public static UInt128 OfHash(UInt128 hash) => hash > Zero ? hash : None;

    /// <summary>The entry of a page that is present with these 4096 bytes.</summary>
    public static UInt128 OfContent(ReadOnlySpan<byte> page) => OfHash(XxHash128.HashToUInt128(page));
}

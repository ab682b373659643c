namespace DistMigrate.MappedRam.Journal;

/// <summary>
/// A journal, or the checksums of an image, can't be believed. An invalidation may be among what is damaged, so nothing in the
/// file may be trusted, not even what stands before the damage.
/// </summary>
public sealed class JournalException : FormatException
{
    internal JournalException(long offset, JournalRule rule, string message, Exception? inner = null)
        : base($"Not a usable journal at 0x{offset:x}: {message} ({rule}).", inner)
    {
        Offset = offset;
        Rule = rule;
    }

    /// <summary>Where, in bytes from the start of the file: the header, or the start of a record.</summary>
    public long Offset { get; }

    /// <summary>Which rule.</summary>
    public JournalRule Rule { get; }
}

namespace DistMigrate.MappedRam.Journal;

/// <summary>What a journal must hold to be believed.</summary>
public enum JournalRule
{
    /// <summary>The file begins with an intact header.</summary>
    Header,

    /// <summary>The format's version is one that this version of the program reads.</summary>
    Version,

    /// <summary>Every record before a seal is intact and in sequence.</summary>
    Record,

    /// <summary>The identity comes first and once, a token second, and nothing but seals behind the completion.</summary>
    Order,

    /// <summary>The identity is JSON with all that it should have, within its limits.</summary>
    Identity,

    /// <summary>A token never falls, and every record carries the one in force.</summary>
    Token,

    /// <summary>A record speaks of RAMBlocks and pages of the identity.</summary>
    Pages,

    /// <summary>A record's payload has the form of its type.</summary>
    Payload,

    /// <summary>Checksums end with the completion.</summary>
    Incomplete,

    /// <summary>Checksums are of the image that they are compared with.</summary>
    Mismatch,
}

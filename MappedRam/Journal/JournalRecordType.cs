namespace DistMigrate.MappedRam.Journal;

/// <summary>What a record of the journal says; its number in the file.</summary>
public enum JournalRecordType : ushort
{
    /// <summary>Whose journal it is: UTF-8 JSON of <see cref="JournalIdentity"/>. The first record, once.</summary>
    Identity = 1,

    /// <summary>Who writes from here on: u64 number, 16 bytes id in RFC 9562 order. The second record, and at each take-over.</summary>
    Token = 2,

    /// <summary>
    /// Pages that are durable in the image: u32 RAMBlock, u32 fsync epoch, u64 first page, u64 count (at most 65,000), u8 kind
    /// (0 data, 1 zero), 7 bytes 0; for data one <see cref="JournalEntry"/> of 16 bytes per page.
    /// </summary>
    Durable = 3,

    /// <summary>
    /// Pages about to be overwritten: u32 RAMBlock, u32 count of runs (at least 1), then per run u64 first page and u64 count.
    /// </summary>
    Invalid = 4,

    /// <summary>Everything before it was durable when it was written. No payload.</summary>
    Seal = 5,

    /// <summary>A step of the switch-over: u32 step, u64 Unix milliseconds, at most 4096 bytes of UTF-8 text.</summary>
    Step = 6,

    /// <summary>The image is finished, and its pages are those above: u64 length of the image in bytes. Only seals follow.</summary>
    Complete = 7,
}

namespace DistMigrate.MappedRam;

/// <summary>
/// What an image must hold to be loaded, and to be loaded whole. Where QEMU's own loader checks a rule, it refuses the
/// image; where it doesn't, it crashes or loads a part of the memory and reports success.
/// </summary>
public enum ImageRule
{
    /// <summary>The file begins with the magic "QEVM".</summary>
    Magic,

    /// <summary>The version of the stream is 3.</summary>
    StreamVersion,

    /// <summary>A configuration section follows the version.</summary>
    Configuration,

    /// <summary>The machine name has 1 to 255 bytes of UTF-8 without control characters.</summary>
    MachineName,

    /// <summary>Each subsection of the configuration is a known one, of version 1, with a payload that fits.</summary>
    Subsection,

    /// <summary>The capability list names mapped-ram and nothing else; in particular not x-ignore-shared, which QEMU 10 can't load with it.</summary>
    Capabilities,

    /// <summary>A section begins with a known type byte.</summary>
    SectionType,

    /// <summary>A section's name is text.</summary>
    SectionName,

    /// <summary>A PART or END names the id of a START before it, and that id isn't 0, which the loader takes for another entry.</summary>
    SectionId,

    /// <summary>RAM stands before the devices (but for their early state), and once.</summary>
    SectionOrder,

    /// <summary>A section ends with a footer that repeats its id.</summary>
    Footer,

    /// <summary>A command is one that a file can carry, and its data has the command's length.</summary>
    Command,

    /// <summary>There is a ram section.</summary>
    RamMissing,

    /// <summary>The ram section has instance 0 and version 4.</summary>
    RamVersion,

    /// <summary>The word that opens the RAMBlock list has the flag MEM_SIZE and no other.</summary>
    RamFlags,

    /// <summary>The total in front of the RAMBlock list is the sum of the used lengths: the loader ends its list by it.</summary>
    RamTotal,

    /// <summary>The data of each ram section ends with the word EOS. While it is missing after the last RAMBlock, the image isn't finished.</summary>
    Eos,

    /// <summary>Where a RAMBlock's pages end there is the next block header, or the EOS.</summary>
    BlockHeader,

    /// <summary>A RAMBlock's name is text.</summary>
    BlockName,

    /// <summary>No two RAMBlocks have the same name.</summary>
    DuplicateBlock,

    /// <summary>The number of RAMBlocks is between 1 and 65536.</summary>
    BlockCount,

    /// <summary>
    /// A used length is a positive multiple of 4096 that leads to the next block header or the EOS. The loader takes any and
    /// leaves out the pages behind it.
    /// </summary>
    UsedLength,

    /// <summary>The version of a mapped-ram header is 1; the loader takes 0 as well.</summary>
    HeaderVersion,

    /// <summary>The page size of a mapped-ram header is 4096: with 0 the loader dies of SIGFPE, with 8192 it loads half the pages.</summary>
    PageSize,

    /// <summary>Pages begin at a multiple of 4096.</summary>
    PagesAlignment,

    /// <summary>A bitmap stands directly behind its block header, or wholly elsewhere: a shift by a few bytes presents other pages.</summary>
    BitmapOffset,

    /// <summary>Bitmaps and pages lie inside the file: the multifd loader dies of SIGSEGV where pages are cut off.</summary>
    RegionOutsideFile,

    /// <summary>Headers, bitmaps, pages and tail don't overlap.</summary>
    RegionOverlap,

    /// <summary>Bytes that belong to no region are zero; others are what a wrong offset left behind.</summary>
    UnclaimedBytes,

    /// <summary>No bit beyond the last page of a RAMBlock is set.</summary>
    BitmapPadding,

    /// <summary>The image isn't what an interrupted save leaves: perfect headers, no page in any bitmap, no end of the ram section.</summary>
    InterruptedSave,

    /// <summary>The file doesn't end within a header, a section or a command.</summary>
    Truncated,

    /// <summary>The sections end with the EOF byte.</summary>
    EofMissing,

    /// <summary>The vmdescription's length leads to the end of the file.</summary>
    VmDescriptionLength,

    /// <summary>The vmdescription is JSON.</summary>
    VmDescriptionText,

    /// <summary>The sections and the vmdescription name the same devices, where it names any.</summary>
    DeviceList,

    /// <summary>Nothing stands behind the EOF byte or the vmdescription.</summary>
    TrailingBytes,

    /// <summary>The number of sections or of violations is one that a guest can have; the check stops beyond.</summary>
    Limit,
}

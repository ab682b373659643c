namespace DistMigrate.MappedRam;

/// <summary>
/// The constants of QEMU's migration stream (migration/savevm.c, migration/ram.c of QEMU 10.0). Every integer of the
/// stream is big-endian; only the bitmaps of a mapped-ram image are little-endian words.
/// </summary>
public static class StreamFormat
{
    /// <summary>The first four bytes: "QEVM".</summary>
    public const uint FileMagic = 0x5145_564d;

    /// <summary>The next four bytes.</summary>
    public const uint FileVersion = 3;

    /// <summary>Section type: the end of the stream; only the vmdescription may follow.</summary>
    public const byte Eof = 0x00;

    /// <summary>Section type: the first section of an iterable entry such as "ram". u32 id, name, u32 instance, u32 version, payload.</summary>
    public const byte SectionStart = 0x01;

    /// <summary>Section type: a further section of an iterable entry, known by its u32 id.</summary>
    public const byte SectionPart = 0x02;

    /// <summary>Section type: the last section of an iterable entry, known by its u32 id.</summary>
    public const byte SectionEnd = 0x03;

    /// <summary>Section type: the whole state of a device. Header as <see cref="SectionStart"/>.</summary>
    public const byte SectionFull = 0x04;

    /// <summary>Type byte of a subsection: u8 length and name, u32 version, payload.</summary>
    public const byte Subsection = 0x05;

    /// <summary>Type byte of the vmdescription: u32 length and JSON.</summary>
    public const byte VmDescription = 0x06;

    /// <summary>Type byte of the configuration section: u32 length and machine name, subsections.</summary>
    public const byte Configuration = 0x07;

    /// <summary>Section type: a command. u16 command, u16 length, data.</summary>
    public const byte Command = 0x08;

    /// <summary>Type byte of a section's footer: the u32 id of the section follows.</summary>
    public const byte SectionFooter = 0x7e;

    /// <summary>A footer's length in bytes: type byte and section id.</summary>
    public const int FooterLength = 5;

    /// <summary>The most bytes of a name in the stream: its length is one byte.</summary>
    public const int MaxNameLength = 255;

    /// <summary>The most bytes of a machine name that this project writes and reads.</summary>
    public const int MaxMachineNameLength = 255;

    /// <summary>The name of the section that carries guest memory.</summary>
    public const string RamSectionName = "ram";

    /// <summary>The instance of the section that carries guest memory.</summary>
    public const uint RamSectionInstance = 0;

    /// <summary>The version of the section that carries guest memory.</summary>
    public const uint RamSectionVersion = 4;

    /// <summary>The flag bits of a word in the ram section; the bits above them are an address or a length.</summary>
    public const ulong RamFlagMask = Page.Size - 1;

    /// <summary>RAM flag: the page is filled with one byte.</summary>
    public const ulong RamFlagZero = 0x02;

    /// <summary>RAM flag: the total length of all RAMBlocks, then the list of them.</summary>
    public const ulong RamFlagMemSize = 0x04;

    /// <summary>RAM flag: a page's content follows.</summary>
    public const ulong RamFlagPage = 0x08;

    /// <summary>RAM flag: the end of the data in this section (EOS).</summary>
    public const ulong RamFlagEos = 0x10;

    /// <summary>RAM flag: the page belongs to the same RAMBlock as the one before, whose name is not repeated.</summary>
    public const ulong RamFlagContinue = 0x20;

    /// <summary>RAM flag: the page is XBZRLE-encoded.</summary>
    public const ulong RamFlagXbzrle = 0x40;

    /// <summary>RAM flag: data of a hook (RDMA).</summary>
    public const ulong RamFlagHook = 0x80;

    /// <summary>RAM flag: multifd channels synchronise here.</summary>
    public const ulong RamFlagMultifdFlush = 0x200;

    /// <summary>Command: the destination opens the return path. No data.</summary>
    public const ushort CommandOpenReturnPath = 1;

    /// <summary>Command: the destination answers with the same u32.</summary>
    public const ushort CommandPing = 2;

    /// <summary>Command: postcopy may follow; also sent for the capability dirty-bitmaps. Data of variable length.</summary>
    public const ushort CommandPostcopyAdvise = 3;

    /// <summary>Command: the source has stopped. No data; since QEMU 10.0.</summary>
    public const ushort CommandSwitchoverStart = 11;

    /// <summary>Subsection of the configuration: the u32 number of page bits, where it isn't the least of the target.</summary>
    public const string TargetPageBitsSubsection = "configuration/target-page-bits";

    /// <summary>Subsection of the configuration: u32 count of capability names, each as u8 length and name.</summary>
    public const string CapabilitiesSubsection = "configuration/capabilities";

    /// <summary>Subsection of the configuration: the guest's UUID as 16 bytes.</summary>
    public const string UuidSubsection = "configuration/uuid";

    /// <summary>The version of each subsection of the configuration.</summary>
    public const uint SubsectionVersion = 1;

    /// <summary>The capability that every image names.</summary>
    public const string MappedRamCapability = "mapped-ram";

    /// <summary>The capability that leaves shared memory out of the stream; no image has it.</summary>
    public const string IgnoreSharedCapability = "x-ignore-shared";

    /// <summary>The version of the mapped-ram header.</summary>
    public const uint MappedRamHeaderVersion = 1;

    /// <summary>The mapped-ram header's length: u32 version, u64 page size, u64 bitmap offset, u64 pages offset.</summary>
    public const int MappedRamHeaderLength = 28;

    /// <summary>Pages of a block start at a multiple of this many bytes, to suit O_DIRECT on any disk.</summary>
    public const long PagesAlignment = 1 << 20;

    /// <summary>The section id that QEMU gives "ram" in a guest whose only older entry is the timer (id 0).</summary>
    public const uint DefaultRamSectionId = 1;
}

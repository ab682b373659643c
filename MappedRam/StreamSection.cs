namespace DistMigrate.MappedRam;

/// <summary>A section of the stream, from its type byte to the end of its footer.</summary>
/// <param name="Kind">Its type.</param>
/// <param name="Name">The entry's name, for example <c>ram</c> or <c>cpu</c>.</param>
/// <param name="Instance">The entry's instance among those of the same name.</param>
/// <param name="Version">The version of the entry's state.</param>
/// <param name="Offset">Where the type byte stands, in bytes from the start of the file.</param>
/// <param name="Length">Bytes to the end of the footer. The ram START spans all block headers, bitmaps and pages behind it.</param>
/// <param name="Id">The section id.</param>
public sealed record StreamSection(SectionKind Kind, string Name, uint Instance, uint Version, long Offset, long Length, uint Id);

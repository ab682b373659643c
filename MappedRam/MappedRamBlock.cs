namespace DistMigrate.MappedRam;

/// <summary>A RAMBlock of an image.</summary>
/// <param name="Layout">Where it stands.</param>
/// <param name="Shadow">The shadow bitmap: which pages are present. A page whose bit is clear is zero, whatever the file holds in its place.</param>
public sealed record MappedRamBlock(RamBlockLayout Layout, PageBitmap Shadow);

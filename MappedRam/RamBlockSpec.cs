namespace DistMigrate.MappedRam;

/// <summary>A RAMBlock as the guest has it: what a layout is made from.</summary>
/// <param name="Name">QEMU's <c>idstr</c>, for example <c>pc.ram</c>: 1 to 255 bytes of UTF-8.</param>
/// <param name="UsedLength">Its <c>used_length</c> in bytes (not <c>max_length</c>): a positive multiple of <see cref="Page.Size"/>.</param>
public sealed record RamBlockSpec(string Name, long UsedLength);

namespace DistMigrate.MappedRam;

/// <summary>The state of a guest's devices as QEMU wrote it.</summary>
/// <param name="Sections">Every SECTION_FULL with its footer, verbatim and in QEMU's order, without the EOF byte behind them.</param>
/// <param name="VmDescription">
/// The JSON that describes the sections, without type byte and length; empty where QEMU gave none
/// (<c>xen-save-devices-state</c> does not).
/// </param>
public sealed record DeviceSections(ReadOnlyMemory<byte> Sections, ReadOnlyMemory<byte> VmDescription);

namespace DistMigrate.Guests;

/// <summary>A disk as an image's manifest names it. Its content is not part of the image.</summary>
/// <param name="Device">The drive's name, or the QOM path of its device where it has none.</param>
/// <param name="NodeName">The block node's name, or null without medium; QEMU makes one up (<c>#block123</c>) where none is given.</param>
/// <param name="Path">The file or address behind it, absolute where it is a file, secrets removed; null without medium.</param>
/// <param name="ReadOnly">Whether the guest may not write to it.</param>
public sealed record DiskDescription(string Device, string? NodeName, string? Path, bool ReadOnly);

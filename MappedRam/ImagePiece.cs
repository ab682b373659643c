namespace DistMigrate.MappedRam;

/// <summary>Bytes that belong at a place of the image.</summary>
/// <param name="Offset">Where, in bytes from the start of the file.</param>
/// <param name="Bytes">What.</param>
public sealed record ImagePiece(long Offset, ReadOnlyMemory<byte> Bytes);

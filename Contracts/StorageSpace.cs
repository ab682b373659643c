namespace DistMigrate.Contracts;

/// <summary>A storage root of a host and its space.</summary>
/// <param name="Path">The folder.</param>
/// <param name="FreeBytes">Bytes that the silo's user may write there; null when the storage does not tell.</param>
/// <param name="TotalBytes">Bytes of its file system; null when the storage does not tell.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.StorageSpace")]
public sealed record StorageSpace([property: Id(0)] string Path, [property: Id(1)] long? FreeBytes, [property: Id(2)] long? TotalBytes);

namespace DistMigrate.MappedRam;

/// <summary>An image whose holes can be told without reading them.</summary>
public interface ISparseImageInput : IImageInput
{
    /// <summary>The next byte at or after <paramref name="offset"/> that isn't in a hole (SEEK_DATA); the length when only a hole follows.</summary>
    /// <exception cref="IOException">The storage failed.</exception>
    long FindData(long offset);
}

namespace DistMigrate.MappedRam;

/// <summary>The bytes of an image, read at any position.</summary>
public interface IImageInput : IDisposable
{
    /// <summary>How many bytes there are.</summary>
    long Length { get; }

    /// <summary>Fills <paramref name="buffer"/> with the bytes from <paramref name="offset"/> on.</summary>
    /// <exception cref="EndOfStreamException">There are fewer bytes than the buffer takes.</exception>
    /// <exception cref="IOException">The storage failed.</exception>
    void ReadExactly(long offset, Span<byte> buffer);
}

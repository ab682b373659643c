namespace DistMigrate.MappedRam;

/// <summary>An image in memory.</summary>
/// <param name="bytes">The whole image.</param>
public sealed class MemoryImageInput(ReadOnlyMemory<byte> bytes) : IImageInput
{
    /// <inheritdoc/>
    public long Length => bytes.Length;

    /// <inheritdoc/>
    public void ReadExactly(long offset, Span<byte> buffer)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        if (buffer.Length > bytes.Length - offset)
        {
            throw new EndOfStreamException($"The image has {bytes.Length} bytes, not {buffer.Length} from offset {offset} on.");
        }

        bytes.Span.Slice((int)offset, buffer.Length).CopyTo(buffer);
    }

    /// <summary>Does nothing: the memory belongs to the caller.</summary>
    public void Dispose()
    {
    }
}

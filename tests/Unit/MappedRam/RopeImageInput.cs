using DistMigrate.MappedRam;

namespace DistMigrate.Tests.Unit.MappedRam;

/// <summary>An image put together from slices of others, so that a mutation of a large one costs nothing. Counts what is read.</summary>
internal sealed class RopeImageInput : IImageInput
{
    private readonly List<(long Start, ReadOnlyMemory<byte> Bytes)> _slices = [];

    public RopeImageInput(params IEnumerable<ReadOnlyMemory<byte>> slices)
    {
        foreach (var slice in slices.Where(slice => !slice.IsEmpty))
        {
            _slices.Add((Length, slice));
            Length += slice.Length;
        }
    }

    public long Length { get; private set; }

    public long BytesRead { get; private set; }

    public void ReadExactly(long offset, Span<byte> buffer)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset + buffer.Length, Length);
        BytesRead += buffer.Length;
        foreach (var (start, bytes) in _slices)
        {
            var skip = offset - start;
            if (skip >= 0 && skip < bytes.Length && !buffer.IsEmpty)
            {
                var count = (int)Math.Min(buffer.Length, bytes.Length - skip);
                bytes.Span.Slice((int)skip, count).CopyTo(buffer);
                buffer = buffer[count..];
                offset += count;
            }
        }
    }

    public void Dispose()
    {
    }
}

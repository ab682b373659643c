using System.Buffers.Binary;

namespace DistMigrate.MappedRam;

/// <summary>Reads the stream of an image from front to back, through a window of bounded size, and looks ahead in it.</summary>
internal sealed class ImageCursor(IImageInput input)
{
    private const int WindowLength = 64 * 1024;

    private readonly byte[] _window = new byte[WindowLength];
    private long _windowStart;
    private int _windowFilled;

    public long Length { get; } = input.Length;

    public long Position { get; set; }

    public byte U8(string what) => Take(sizeof(byte), what)[0];

    public ushort U16(string what) => BinaryPrimitives.ReadUInt16BigEndian(Take(sizeof(ushort), what));

    public uint U32(string what) => BinaryPrimitives.ReadUInt32BigEndian(Take(sizeof(uint), what));

    public ulong U64(string what) => BinaryPrimitives.ReadUInt64BigEndian(Take(sizeof(ulong), what));

    /// <summary>The next bytes; valid until the next call of any member.</summary>
    /// <exception cref="ImageFormatException">The file ends before them.</exception>
    public ReadOnlySpan<byte> Take(int count, string what)
    {
        var bytes = Peek(Position, count);
        if (bytes.Length < count)
        {
            throw new ImageFormatException(
                Math.Min(Position, Length), ImageRule.Truncated, $"the file ends where {what} should be ({count} bytes)");
        }

        Position += count;
        return bytes;
    }

    /// <summary>The bytes from <paramref name="offset"/> on, fewer at the end of the file; valid until the next call of any member.</summary>
    public ReadOnlySpan<byte> Peek(long offset, int count)
    {
        if (offset >= Length)
        {
            return default;
        }

        count = (int)Math.Min(count, Length - offset);
        if (offset < _windowStart || offset + count > _windowStart + _windowFilled)
        {
            _windowFilled = 0;
            var filled = (int)Math.Min(WindowLength, Length - offset);
            input.ReadExactly(offset, _window.AsSpan(0, filled));
            _windowStart = offset;
            _windowFilled = filled;
        }

        return _window.AsSpan((int)(offset - _windowStart), count);
    }

    /// <summary>The byte at <paramref name="offset"/>, or -1 behind the end of the file.</summary>
    public int PeekByte(long offset) => Peek(offset, 1) is [var value] ? value : -1;

    /// <summary>The first place in [from, end) where the whole <paramref name="pattern"/> stands before <paramref name="end"/>, or -1.</summary>
    public long Find(ReadOnlySpan<byte> pattern, long from, long end)
    {
        end = Math.Min(end, Length);
        while (end - from >= pattern.Length)
        {
            var bytes = Peek(from, (int)Math.Min(WindowLength, end - from));
            var index = bytes.IndexOf(pattern);
            if (index >= 0)
            {
                return from + index;
            }

            from += bytes.Length - pattern.Length + 1;
        }

        return -1;
    }

    /// <summary>The last place in [start, end) where <paramref name="value"/> stands, or -1.</summary>
    public long FindLast(byte value, long start, long end) => FindLast(start, end, bytes => bytes.LastIndexOf(value));

    /// <summary>The last byte in [start, end) that isn't zero, or -1.</summary>
    public long FindLastNonZero(long start, long end) => FindLast(start, end, bytes => bytes.LastIndexOfAnyExcept((byte)0));

    /// <summary>The first byte in [from, end) that isn't zero, or <paramref name="end"/>.</summary>
    public long SkipZeros(long from, long end)
    {
        while (from < end)
        {
            var bytes = Peek(from, (int)Math.Min(WindowLength, end - from));
            if (bytes.IsEmpty)
            {
                return end;
            }

            var index = bytes.IndexOfAnyExcept((byte)0);
            if (index >= 0)
            {
                return from + index;
            }

            from += bytes.Length;
        }

        return end;
    }

    private long FindLast(long start, long end, Func<ReadOnlySpan<byte>, int> find)
    {
        while (end > start)
        {
            // Aligned, so that repeated searches find the window filled.
            var from = Math.Max(start, (end - 1) / WindowLength * WindowLength);
            var index = find(Peek(from, (int)(end - from)));
            if (index >= 0)
            {
                return from + index;
            }

            end = from;
        }

        return -1;
    }
}

using System.Buffers.Binary;
using System.Text;

namespace DistMigrate.Guests;

/// <summary>Reads the fields of a migration stream from a socket or file: big-endian integers, counted names, skips.</summary>
internal sealed class BufferedStreamReader(Stream stream)
{
    private readonly byte[] _buffer = new byte[256 * 1024];
    private int _start;
    private int _end;

    /// <summary>Bytes taken so far.</summary>
    public long Position { get; private set; }

    public async ValueTask<byte> ByteAsync(CancellationToken cancellationToken)
    {
        await NeedAsync(1, cancellationToken);
        return Take(1)[0];
    }

    /// <summary>The next byte, which stays.</summary>
    public async ValueTask<byte> PeekAsync(CancellationToken cancellationToken)
    {
        await NeedAsync(1, cancellationToken);
        return _buffer[_start];
    }

    public async ValueTask<ushort> UInt16Async(CancellationToken cancellationToken)
    {
        await NeedAsync(2, cancellationToken);
        return BinaryPrimitives.ReadUInt16BigEndian(Take(2));
    }

    public async ValueTask<uint> UInt32Async(CancellationToken cancellationToken)
    {
        await NeedAsync(4, cancellationToken);
        return BinaryPrimitives.ReadUInt32BigEndian(Take(4));
    }

    public async ValueTask<ulong> UInt64Async(CancellationToken cancellationToken)
    {
        await NeedAsync(8, cancellationToken);
        return BinaryPrimitives.ReadUInt64BigEndian(Take(8));
    }

    /// <summary>UTF-8 text of a length that the caller has checked to be at most 64 KiB.</summary>
    public async ValueTask<string> TextAsync(int length, CancellationToken cancellationToken)
    {
        await NeedAsync(length, cancellationToken);
        return Encoding.UTF8.GetString(Take(length));
    }

    public async ValueTask SkipAsync(long length, CancellationToken cancellationToken)
    {
        while (length > 0)
        {
            await NeedAsync(1, cancellationToken);
            var part = (int)Math.Min(length, _end - _start);
            Take(part);
            length -= part;
        }
    }

    /// <summary>Everything up to the end of the stream.</summary>
    /// <exception cref="GuestException">More than <paramref name="limit"/> bytes follow.</exception>
    public async Task<byte[]> RestAsync(int limit, CancellationToken cancellationToken)
    {
        using var rest = new MemoryStream();
        do
        {
            if (rest.Length + _end - _start > limit)
                throw new GuestException(GuestFault.DeviceState, $"The device state is longer than {limit >> 20} MiB. A device with that much state of its own is not supported.");
            rest.Write(Take(_end - _start));
        }
        while (await FillAsync(cancellationToken));
        return rest.ToArray();
    }

    private async ValueTask NeedAsync(int count, CancellationToken cancellationToken)
    {
        while (_end - _start < count)
        {
            if (!await FillAsync(cancellationToken))
                throw new GuestException(GuestFault.DeviceState, $"QEMU's migration stream ends after {Position + _end - _start} bytes, in the middle of a section.");
        }
    }

    private async ValueTask<bool> FillAsync(CancellationToken cancellationToken)
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }

        var count = await stream.ReadAsync(_buffer.AsMemory(_end), cancellationToken);
        _end += count;
        return count > 0;
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        var bytes = _buffer.AsSpan(_start, count);
        _start += count;
        Position += count;
        return bytes;
    }
}

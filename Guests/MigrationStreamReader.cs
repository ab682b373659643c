using System.Buffers.Binary;
using System.Text;

namespace DistMigrate.Guests;

/// <summary>Reads the fields of a migration stream from a socket or file: big-endian integers, counted names, skips.</summary>
internal sealed class MigrationStreamReader(Stream stream)
{
    private readonly byte[] _buffer = new byte[256 * 1024];
    private int _start;
    private int _end;

    /// <summary>Bytes taken so far.</summary>
    public long Position { get; private set; }

    public byte Byte()
    {
        Need(1);
        return Take(1)[0];
    }

    /// <summary>The next byte, which stays.</summary>
    public byte Peek()
    {
        Need(1);
        return _buffer[_start];
    }

    public ushort UInt16()
    {
        Need(2);
        return BinaryPrimitives.ReadUInt16BigEndian(Take(2));
    }

    public uint UInt32()
    {
        Need(4);
        return BinaryPrimitives.ReadUInt32BigEndian(Take(4));
    }

    public ulong UInt64()
    {
        Need(8);
        return BinaryPrimitives.ReadUInt64BigEndian(Take(8));
    }

    /// <summary>UTF-8 text of a length that the caller has checked to be at most 64 KiB.</summary>
    public string Text(int length)
    {
        Need(length);
        return Encoding.UTF8.GetString(Take(length));
    }

    /// <summary>The next bytes, at most 64 KiB, valid until the next call.</summary>
    public ReadOnlySpan<byte> Bytes(int count)
    {
        Need(count);
        return Take(count);
    }

    public void Skip(long length)
    {
        while (length > 0)
        {
            Need(1);
            var part = (int)Math.Min(length, _end - _start);
            Take(part);
            length -= part;
        }
    }

    /// <summary>Everything up to the end of the stream.</summary>
    /// <exception cref="GuestException">More than <paramref name="limit"/> bytes follow.</exception>
    public byte[] Rest(int limit)
    {
        using var rest = new MemoryStream();
        do
        {
            if (rest.Length + _end - _start > limit)
                throw new GuestException(GuestFault.DeviceState, $"The device state is longer than {limit >> 20} MiB. A device with that much state of its own is not supported.");
            rest.Write(Take(_end - _start));
        }
        while (Fill());
        return rest.ToArray();
    }

    private void Need(int count)
    {
        while (_end - _start < count)
        {
            if (!Fill())
                throw new GuestException(GuestFault.DeviceState, $"QEMU's migration stream ends after {Position + _end - _start} bytes, in the middle of a section.");
        }
    }

    private bool Fill()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }

        var count = stream.Read(_buffer.AsSpan(_end));
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

using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace DistMigrate.MappedRam;

/// <summary>Builds a stretch of the stream: big-endian integers and names with their length.</summary>
internal sealed class StreamWriter
{
    private readonly ArrayBufferWriter<byte> _bytes = new();

    public byte[] ToArray() => _bytes.WrittenSpan.ToArray();

    public StreamWriter U8(byte value)
    {
        _bytes.GetSpan(1)[0] = value;
        _bytes.Advance(1);
        return this;
    }

    public StreamWriter U16(ushort value)
    {
        BinaryPrimitives.WriteUInt16BigEndian(_bytes.GetSpan(sizeof(ushort)), value);
        _bytes.Advance(sizeof(ushort));
        return this;
    }

    public StreamWriter U32(uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(_bytes.GetSpan(sizeof(uint)), value);
        _bytes.Advance(sizeof(uint));
        return this;
    }

    public StreamWriter U64(ulong value)
    {
        BinaryPrimitives.WriteUInt64BigEndian(_bytes.GetSpan(sizeof(ulong)), value);
        _bytes.Advance(sizeof(ulong));
        return this;
    }

    public StreamWriter Bytes(ReadOnlySpan<byte> value)
    {
        _bytes.Write(value);
        return this;
    }

    /// <summary>A name behind its length in one byte.</summary>
    public StreamWriter Name(string name) => U8((byte)Encoding.UTF8.GetByteCount(name)).Bytes(Encoding.UTF8.GetBytes(name));

    /// <summary>A name behind its length in four bytes.</summary>
    public StreamWriter LongName(string name) => U32((uint)Encoding.UTF8.GetByteCount(name)).Bytes(Encoding.UTF8.GetBytes(name));

    public StreamWriter SectionHeader(byte type, uint id, string name, uint instance, uint version) =>
        U8(type).U32(id).Name(name).U32(instance).U32(version);

    public StreamWriter Footer(uint sectionId) => U8(StreamFormat.SectionFooter).U32(sectionId);
}

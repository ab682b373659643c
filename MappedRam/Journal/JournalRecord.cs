using System.Buffers.Binary;

namespace DistMigrate.MappedRam.Journal;

/// <summary>One intact record in the bytes of a journal.</summary>
public readonly ref struct JournalRecord
{
    private JournalRecord(ReadOnlySpan<byte> bytes, int payloadLength)
    {
        Length = bytes.Length;
        Type = (JournalRecordType)BinaryPrimitives.ReadUInt16LittleEndian(bytes[4..]);
        Sequence = BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]);
        Token = BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]);
        Payload = bytes.Slice(JournalFormat.PrefixLength, payloadLength);
    }

    /// <summary>Bytes from the sync word to the end of the checksum.</summary>
    public int Length { get; }

    /// <summary>What it says.</summary>
    public JournalRecordType Type { get; }

    /// <summary>Its place in the order of the records.</summary>
    public ulong Sequence { get; }

    /// <summary>The number of the token in force.</summary>
    public long Token { get; }

    /// <summary>What follows the prefix, without padding.</summary>
    public ReadOnlySpan<byte> Payload { get; }

    /// <summary>The most bytes that a record can have.</summary>
    public static int MaxLength => JournalFormat.RecordLength(JournalFormat.MaxPayloadLength);

    /// <summary>Reads the record at the start of <paramref name="bytes"/>.</summary>
    /// <param name="bytes">The rest of the file, or its first <see cref="MaxLength"/> bytes.</param>
    /// <param name="seed">The seed of the file's checksums.</param>
    /// <param name="record">The record.</param>
    /// <returns>False when there is no intact one.</returns>
    public static bool TryParse(ReadOnlySpan<byte> bytes, ulong seed, out JournalRecord record)
    {
        record = default;
        var length = FindLength(bytes);
        if (length == 0 || length > bytes.Length)
        {
            return false;
        }

        bytes = bytes[..length];
        var body = bytes[..^sizeof(ulong)];
        var payloadLength = BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]);
        if (JournalFormat.Hash(body, seed) != BinaryPrimitives.ReadUInt64LittleEndian(bytes[body.Length..])
            || body[(JournalFormat.PrefixLength + payloadLength)..].ContainsAnyExcept((byte)0)
            || BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]) < 1)
        {
            return false;
        }

        record = new JournalRecord(bytes, payloadLength);
        return true;
    }

    /// <summary>The whole length of the record whose prefix stands at the start of <paramref name="bytes"/>, or 0 when none does.</summary>
    internal static int FindLength(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < JournalFormat.PrefixLength
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != JournalFormat.SyncWord
            || BinaryPrimitives.ReadUInt16LittleEndian(bytes[6..]) != 0
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]) != 0)
        {
            return 0;
        }

        var payloadLength = BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]);
        return payloadLength <= JournalFormat.MaxPayloadLength ? JournalFormat.RecordLength((int)payloadLength) : 0;
    }
}

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Unicode;

namespace DistMigrate.MappedRam.Journal;

/// <summary>
/// Makes the bytes of a journal: numbers its records and seals each with its checksum. Where they go is the caller's business. Not
/// thread-safe.
/// </summary>
public sealed class JournalEncoder
{
    private readonly ulong _seed;
    private readonly byte[] _header;

    /// <summary>Begins a journal with a salt of its own.</summary>
    /// <param name="identity">Whose journal it is.</param>
    /// <param name="token">Who writes it.</param>
    /// <exception cref="ArgumentException">The identity can't be written, or the token's number is below 1.</exception>
    public JournalEncoder(JournalIdentity identity, JournalToken token)
    {
        ArgumentNullException.ThrowIfNull(identity);
        CheckToken(token);
        Identity = identity;
        Token = token;
        Sequence = 1;
        _header = new byte[JournalFormat.HeaderLength];
        JournalFormat.Magic.CopyTo(_header);
        BinaryPrimitives.WriteUInt16LittleEndian(_header.AsSpan(8), JournalFormat.Version);
        var salt = _header.AsSpan(16, JournalFormat.SaltLength);
        RandomNumberGenerator.Fill(salt);
        _seed = JournalFormat.SeedOf(salt);
        var body = _header.AsSpan(0, JournalFormat.HeaderBodyLength);
        BinaryPrimitives.WriteUInt64LittleEndian(_header.AsSpan(body.Length), JournalFormat.Hash(body, seed: 0));
    }

    /// <summary>Goes on where a journal ends.</summary>
    /// <exception cref="ArgumentException">It is empty or complete.</exception>
    public JournalEncoder(JournalEnd end)
    {
        ArgumentNullException.ThrowIfNull(end);
        if (end.IsEmpty || end.ImageLength is not null)
        {
            throw new ArgumentException("An empty or complete journal takes no more records.", nameof(end));
        }

        Identity = end.Identity!;
        Token = end.Token;
        Sequence = end.NextSequence;
        _seed = end.Seed;
        _header = [];
    }

    /// <summary>Whose journal it is.</summary>
    public JournalIdentity Identity { get; }

    /// <summary>The token in force, which every record carries.</summary>
    public JournalToken Token { get; private set; }

    /// <summary>The number of the next record.</summary>
    public ulong Sequence { get; private set; }

    /// <summary>The seed of the checksums.</summary>
    public ulong Seed => _seed;

    /// <summary>The whole length of a record, in bytes.</summary>
    /// <param name="payloadLength">The payload's length, at most 1 MiB.</param>
    public static int RecordLength(int payloadLength) => JournalFormat.RecordLength(payloadLength);

    /// <summary>The bytes that a new journal begins with: header, identity and token.</summary>
    public byte[] Beginning()
    {
        var json = Identity.ToJson();
        var bytes = new byte[_header.Length + RecordLength(json.Length) + RecordLength(JournalFormat.TokenLength)];
        _header.CopyTo(bytes, 0);
        var rest = bytes.AsSpan(_header.Length);
        rest = rest[Write(rest, JournalRecordType.Identity, json)..];
        WriteToken(rest, Token);
        return bytes;
    }

    /// <summary>A token from which on another writes.</summary>
    /// <exception cref="ArgumentException">Its number isn't above the one in force.</exception>
    public byte[] TakeOver(JournalToken token)
    {
        CheckToken(token);
        if (token.Number <= Token.Number && token != Token)
        {
            throw new ArgumentException($"Token {token.Number} can't follow token {Token.Number}.", nameof(token));
        }

        var bytes = new byte[RecordLength(JournalFormat.TokenLength)];
        WriteToken(bytes, token);
        return bytes;
    }

    /// <summary>A seal: all before it is durable.</summary>
    public byte[] Seal()
    {
        var bytes = new byte[RecordLength(0)];
        Write(bytes, JournalRecordType.Seal, []);
        return bytes;
    }

    /// <summary>A step of the switch-over.</summary>
    /// <param name="step">Its number.</param>
    /// <param name="time">When; milliseconds are kept.</param>
    /// <param name="text">At most 4096 bytes of UTF-8; what is longer is cut.</param>
    public byte[] Step(uint step, DateTimeOffset time, string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var payload = new byte[JournalFormat.StepFieldsLength + JournalFormat.MaxStepTextLength];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, step);
        BinaryPrimitives.WriteInt64LittleEndian(payload.AsSpan(4), Math.Max(0, time.ToUnixTimeMilliseconds()));
        Utf8.FromUtf16(text, payload.AsSpan(JournalFormat.StepFieldsLength), out _, out var written);
        payload = payload[..(JournalFormat.StepFieldsLength + written)];
        var bytes = new byte[RecordLength(payload.Length)];
        Write(bytes, JournalRecordType.Step, payload);
        return bytes;
    }

    /// <summary>The end of the checksums of an image.</summary>
    /// <param name="imageLength">The image's length in bytes.</param>
    public byte[] Complete(long imageLength)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(imageLength);
        var payload = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(payload, imageLength);
        var bytes = new byte[RecordLength(payload.Length)];
        Write(bytes, JournalRecordType.Complete, payload);
        return bytes;
    }

    /// <summary>The payload's length of a record of durable pages.</summary>
    /// <param name="pages">How many pages have an entry; 0 for zero pages.</param>
    public static int DurableLength(int pages) => JournalFormat.DurableFieldsLength + (pages * JournalEntry.Length);

    /// <summary>Writes a record of durable pages.</summary>
    /// <param name="destination">At least <see cref="RecordLength"/> of <see cref="DurableLength"/> bytes.</param>
    /// <param name="block">The RAMBlock's index in the identity.</param>
    /// <param name="epoch">The fsync epoch that made them durable.</param>
    /// <param name="run">The pages, at most 65,000.</param>
    /// <param name="entries">One per page; none when all are zero pages.</param>
    /// <returns>Bytes written.</returns>
    /// <exception cref="ArgumentException">There is no such run, or another number of entries.</exception>
    public int WriteDurable(Span<byte> destination, int block, uint epoch, PageRun run, ReadOnlySpan<UInt128> entries)
    {
        CheckRun(block, run);
        if (run.Count > JournalFormat.MaxPagesPerRecord || (!entries.IsEmpty && entries.Length != run.Count))
        {
            throw new ArgumentException($"A record of {run.Count} pages can't be written with {entries.Length} entries.", nameof(run));
        }

        var length = DurableLength(entries.Length);
        var payload = Begin(destination, JournalRecordType.Durable, length, Token.Number);
        BinaryPrimitives.WriteInt32LittleEndian(payload, block);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], epoch);
        BinaryPrimitives.WriteInt64LittleEndian(payload[8..], run.First);
        BinaryPrimitives.WriteInt64LittleEndian(payload[16..], run.Count);
        payload[24..JournalFormat.DurableFieldsLength].Clear();
        payload[24] = entries.IsEmpty ? JournalFormat.KindZero : JournalFormat.KindData;
        payload = payload[JournalFormat.DurableFieldsLength..];
        if (BitConverter.IsLittleEndian)
        {
            MemoryMarshal.AsBytes(entries).CopyTo(payload);
        }
        else
        {
            for (var i = 0; i < entries.Length; i++)
            {
                BinaryPrimitives.WriteUInt128LittleEndian(payload[(i * JournalEntry.Length)..], entries[i]);
            }
        }

        return End(destination, length);
    }

    /// <summary>The payload's length of an invalidation.</summary>
    /// <param name="runs">How many runs it has.</param>
    public static int InvalidLength(int runs) => JournalFormat.InvalidFieldsLength + (runs * JournalFormat.RunLength);

    /// <summary>Writes an invalidation.</summary>
    /// <param name="destination">At least <see cref="RecordLength"/> of <see cref="InvalidLength"/> bytes.</param>
    /// <param name="block">The RAMBlock's index in the identity.</param>
    /// <param name="runs">Pages about to be overwritten: 1 to 65,000 runs.</param>
    /// <returns>Bytes written.</returns>
    /// <exception cref="ArgumentException">A run isn't in the RAMBlock, or there are too many or none.</exception>
    public int WriteInvalid(Span<byte> destination, int block, ReadOnlySpan<PageRun> runs)
    {
        if (runs.Length is 0 or > JournalFormat.MaxRunsPerRecord)
        {
            throw new ArgumentException($"An invalidation has 1 to {JournalFormat.MaxRunsPerRecord} runs, not {runs.Length}.", nameof(runs));
        }

        foreach (var run in runs)
        {
            CheckRun(block, run);
        }

        var length = InvalidLength(runs.Length);
        var payload = Begin(destination, JournalRecordType.Invalid, length, Token.Number);
        BinaryPrimitives.WriteInt32LittleEndian(payload, block);
        BinaryPrimitives.WriteInt32LittleEndian(payload[4..], runs.Length);
        payload = payload[JournalFormat.InvalidFieldsLength..];
        foreach (var run in runs)
        {
            BinaryPrimitives.WriteInt64LittleEndian(payload, run.First);
            BinaryPrimitives.WriteInt64LittleEndian(payload[sizeof(long)..], run.Count);
            payload = payload[JournalFormat.RunLength..];
        }

        return End(destination, length);
    }

    /// <summary>Writes a record of another journal of the same identity, with the number that is due here.</summary>
    /// <param name="destination">At least the record's length.</param>
    /// <param name="record">The record; a token comes into force.</param>
    /// <returns>Bytes written.</returns>
    public int Repeat(Span<byte> destination, JournalRecord record)
    {
        if (record.Type == JournalRecordType.Token)
        {
            Token = new JournalToken(record.Token, new Guid(record.Payload[sizeof(long)..], bigEndian: true));
        }

        return Write(destination, record.Type, record.Payload);
    }

    private static void CheckToken(JournalToken token)
    {
        if (token.Number < 1)
        {
            throw new ArgumentException($"A token's number is at least 1, not {token.Number}.", nameof(token));
        }
    }

    private void CheckRun(int block, PageRun run)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)block, (uint)Identity.Blocks.Count, nameof(block));
        var pages = Identity.Blocks[block].Pages;
        if (run.First < 0 || run.Count < 1 || run.First >= pages || run.Count > pages - run.First)
        {
            throw new ArgumentException($"{run} isn't in RAMBlock {Identity.Blocks[block].Name} of {pages} pages.", nameof(run));
        }
    }

    private int WriteToken(Span<byte> destination, JournalToken token)
    {
        Token = token;
        var payload = Begin(destination, JournalRecordType.Token, JournalFormat.TokenLength, token.Number);
        BinaryPrimitives.WriteInt64LittleEndian(payload, token.Number);
        token.Id.TryWriteBytes(payload[sizeof(long)..], bigEndian: true, out _);
        return End(destination, JournalFormat.TokenLength);
    }

    private int Write(Span<byte> destination, JournalRecordType type, ReadOnlySpan<byte> payload)
    {
        payload.CopyTo(Begin(destination, type, payload.Length, Token.Number));
        return End(destination, payload.Length);
    }

    /// <summary>Writes the prefix.</summary>
    /// <returns>Where the payload goes.</returns>
    private Span<byte> Begin(Span<byte> destination, JournalRecordType type, int payloadLength, long token)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(destination, JournalFormat.SyncWord);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[4..], (ushort)type);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[6..], 0);
        BinaryPrimitives.WriteInt32LittleEndian(destination[8..], payloadLength);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], Sequence);
        BinaryPrimitives.WriteInt64LittleEndian(destination[24..], token);
        return destination.Slice(JournalFormat.PrefixLength, payloadLength);
    }

    /// <summary>Writes padding and checksum.</summary>
    /// <returns>The whole length.</returns>
    private int End(Span<byte> destination, int payloadLength)
    {
        var length = RecordLength(payloadLength);
        var body = destination[..(length - sizeof(ulong))];
        body[(JournalFormat.PrefixLength + payloadLength)..].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(destination[body.Length..], JournalFormat.Hash(body, _seed));
        Sequence++;
        return length;
    }
}

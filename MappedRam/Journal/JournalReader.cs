using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;

namespace DistMigrate.MappedRam.Journal;

/// <summary>
/// Reads a journal, or the checksums that it becomes.
/// </summary>
/// <remarks>
/// The writer ends what it makes durable with a seal, after the fsync and before it acts upon it. So a record that isn't intact
/// is damage when a seal follows it, and else part of a tail that was never durable, whatever part of that reached the disk.
/// </remarks>
public sealed class JournalReader
{
    private static readonly long LastMillisecond = DateTimeOffset.MaxValue.ToUnixTimeMilliseconds();

    private readonly IImageInput _input;
    private readonly IJournalVisitor _visitor;
    private readonly byte[] _window;
    private long _windowStart;
    private int _windowFilled;

    private ulong _seed;
    private long _offset;
    private ulong _sequence = 1;
    private JournalIdentity? _identity;
    private JournalToken _token;
    private long _sealOffset;
    private long? _imageLength;

    private JournalReader(IImageInput input, IJournalVisitor visitor, byte[] window)
    {
        _input = input;
        _visitor = visitor;
        _window = window;
    }

    /// <summary>Reads all that holds. Memory is bounded by one record, time is linear in the file's length.</summary>
    /// <param name="input">The journal; it stays open. Another process may be writing it.</param>
    /// <param name="visitor">Is told what the records say.</param>
    /// <exception cref="JournalException">The file is no journal, is of a later version, or is damaged before a seal.</exception>
    /// <exception cref="IOException">The storage failed.</exception>
    public static JournalEnd Replay(IImageInput input, IJournalVisitor visitor)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(visitor);
        var window = ArrayPool<byte>.Shared.Rent((int)Math.Clamp(input.Length, JournalFormat.HeaderLength, JournalRecord.MaxLength));
        try
        {
            return new JournalReader(input, visitor, window).Replay();
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(window);
        }
    }

    private JournalEnd Replay()
    {
        if (!ReadHeader())
        {
            return Empty();
        }

        var isTorn = false;
        for (_offset = JournalFormat.HeaderLength; _offset < _input.Length; _sequence++)
        {
            var bytes = Peek(_offset, JournalFormat.PrefixLength);
            bytes = Peek(_offset, JournalRecord.FindLength(bytes));
            if (!JournalRecord.TryParse(bytes, _seed, out var record) || record.Sequence != _sequence)
            {
                ThrowIfSealed();
                isTorn = true;
                break;
            }

            Apply(record);
            _offset += record.Length;
        }

        return _token.Number == 0
            ? Empty()
            : new JournalEnd(_identity, _token, _offset, isTorn, _sealOffset, _sequence, _imageLength, _seed);
    }

    private JournalEnd Empty() => new(null, default, 0, _input.Length > 0, 0, 1, null, 0);

    /// <summary>Reads the header.</summary>
    /// <returns>False when nothing of the file ever became durable: it is shorter than its header, or all zero.</returns>
    private bool ReadHeader()
    {
        var header = Peek(0, JournalFormat.HeaderLength);
        if (header.Length < JournalFormat.HeaderLength)
        {
            return false;
        }

        var body = header[..JournalFormat.HeaderBodyLength];
        var hash = BinaryPrimitives.ReadUInt64LittleEndian(header[body.Length..]);
        if (!body.StartsWith(JournalFormat.Magic) || JournalFormat.Hash(body, seed: 0) != hash)
        {
            return IsAllZero() ? false : throw new JournalException(0, JournalRule.Header, "the header is damaged, or the file isn't a journal");
        }

        if (BinaryPrimitives.ReadUInt16LittleEndian(body[8..]) is not JournalFormat.Version and var version)
        {
            throw new JournalException(
                0, JournalRule.Version, $"the journal has version {version}, of which this program knows {JournalFormat.Version}; use a newer one");
        }

        if (body[10..16].ContainsAnyExcept((byte)0))
        {
            throw new JournalException(0, JournalRule.Header, "reserved bytes of the header are set");
        }

        _seed = JournalFormat.SeedOf(body[16..]);
        return true;
    }

    private bool IsAllZero()
    {
        for (var offset = 0L; offset < _input.Length;)
        {
            var bytes = Peek(offset, _window.Length);
            if (bytes.ContainsAnyExcept((byte)0))
            {
                return false;
            }

            offset += bytes.Length;
        }

        return true;
    }

    /// <summary>
    /// Looks for a seal behind a record that isn't intact, at every byte, since bytes may have been lost or added. The bytes of a
    /// seal can't stand in a payload by chance, as the salt is random.
    /// </summary>
    private void ThrowIfSealed()
    {
        Span<byte> sync = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(sync, JournalFormat.SyncWord);
        var sealLength = JournalFormat.RecordLength(0);
        for (var from = _offset; _input.Length - from >= sealLength;)
        {
            var bytes = Peek(from, _window.Length);
            var at = 0;
            for (int index; (index = bytes[at..].IndexOf(sync)) >= 0 && bytes.Length - at - index >= sealLength; at++)
            {
                at += index;
                if (JournalRecord.TryParse(bytes.Slice(at, sealLength), _seed, out var record)
                    && record.Type == JournalRecordType.Seal
                    && record.Sequence >= _sequence)
                {
                    throw Damaged(JournalRule.Record, $"record {_sequence} isn't intact, but the seal at 0x{from + at:x} tells that it was durable");
                }
            }

            from += Math.Max(at, bytes.Length - sealLength + 1);
        }
    }

    private void Apply(in JournalRecord record)
    {
        var expected = _sequence switch
        {
            1 => JournalRecordType.Identity,
            2 => JournalRecordType.Token,
            _ when _imageLength is not null => JournalRecordType.Seal,
            _ => record.Type,
        };
        if (record.Type != expected || (record.Type == JournalRecordType.Identity && _sequence > 1))
        {
            throw Damaged(JournalRule.Order, $"record {_sequence} is of type {record.Type}, which can't stand there");
        }

        if (record.Type > JournalRecordType.Token && record.Token != _token.Number)
        {
            throw Damaged(JournalRule.Token, $"a writer with token {record.Token} wrote although {_token.Number} is in force");
        }

        var payload = record.Payload;
        switch (record.Type)
        {
            case JournalRecordType.Identity:
                ApplyIdentity(payload);
                break;
            case JournalRecordType.Token:
                ApplyToken(payload, record.Token);
                break;
            case JournalRecordType.Durable:
                ApplyDurable(payload);
                break;
            case JournalRecordType.Invalid:
                ApplyInvalid(payload);
                break;
            case JournalRecordType.Seal:
                Require(payload.IsEmpty, JournalRule.Payload, "a seal has a payload");
                _sealOffset = _offset;
                break;
            case JournalRecordType.Step:
                ApplyStep(payload);
                break;
            case JournalRecordType.Complete:
                Require(payload.Length == sizeof(long), JournalRule.Payload, $"a completion has {payload.Length} bytes");
                _imageLength = BinaryPrimitives.ReadInt64LittleEndian(payload);
                Require(_imageLength > 0, JournalRule.Payload, $"the image has {_imageLength} bytes");
                break;
            default:
                throw Damaged(JournalRule.Payload, $"there is no type {(int)record.Type}");
        }
    }

    private void ApplyIdentity(ReadOnlySpan<byte> payload)
    {
        try
        {
            _identity = JournalIdentity.Parse(payload);
        }
        catch (FormatException e)
        {
            throw new JournalException(_offset, JournalRule.Identity, $"the identity can't be read: {e.Message}", e);
        }

        _visitor.Identify(_identity);
    }

    private void ApplyToken(ReadOnlySpan<byte> payload, long inPrefix)
    {
        Require(payload.Length == JournalFormat.TokenLength, JournalRule.Payload, $"a token has {payload.Length} bytes");
        var token = new JournalToken(
            BinaryPrimitives.ReadInt64LittleEndian(payload), new Guid(payload[sizeof(long)..], bigEndian: true));
        var follows = token.Number == inPrefix && (token.Number > _token.Number || token == _token);
        Require(follows, JournalRule.Token, $"token {token.Number} follows token {_token.Number}");
        _token = token;
        _visitor.TakeOver(token);
    }

    private void ApplyDurable(ReadOnlySpan<byte> payload)
    {
        Require(payload.Length >= JournalFormat.DurableFieldsLength, JournalRule.Payload, "a record of durable pages is too short");
        var block = CheckBlock(BinaryPrimitives.ReadUInt32LittleEndian(payload));
        var epoch = BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]);
        var run = CheckRun(block, payload[8..]);
        var kind = payload[24];
        var entries = payload[JournalFormat.DurableFieldsLength..];
        Require(
            run.Count <= JournalFormat.MaxPagesPerRecord
            && kind <= JournalFormat.KindZero
            && !payload[25..JournalFormat.DurableFieldsLength].ContainsAnyExcept((byte)0)
            && entries.Length == (kind == JournalFormat.KindData ? run.Count * JournalEntry.Length : 0),
            JournalRule.Payload,
            $"a record of {run.Count} durable pages of kind {kind} has {payload.Length} bytes");
        if (kind == JournalFormat.KindZero)
        {
            _visitor.Zero(block, epoch, run);
            return;
        }

        TellEntries(block, epoch, run.First, entries);
    }

    /// <summary>Tells the entries by runs of the same sort.</summary>
    private void TellEntries(int block, uint epoch, long first, ReadOnlySpan<byte> entries)
    {
        for (int from = 0, end; from < entries.Length; from = end)
        {
            var sort = SortOf(entries[from..]);
            end = from + JournalEntry.Length;
            while (end < entries.Length && SortOf(entries[end..]) == sort)
            {
                end += JournalEntry.Length;
            }

            var run = new PageRun(first + (from / JournalEntry.Length), (end - from) / JournalEntry.Length);
            if (sort == 1)
            {
                _visitor.Zero(block, epoch, run);
            }
            else if (sort > 1)
            {
                _visitor.Durable(block, epoch, run, entries[from..end]);
            }
        }
    }

    /// <summary>0 for no entry, 1 for a zero page, 2 for a hash.</summary>
    private static int SortOf(ReadOnlySpan<byte> entry) =>
        BinaryPrimitives.ReadUInt64LittleEndian(entry[sizeof(ulong)..]) != 0
            ? 2
            : (int)Math.Min(BinaryPrimitives.ReadUInt64LittleEndian(entry), 2);

    private void ApplyInvalid(ReadOnlySpan<byte> payload)
    {
        Require(payload.Length > JournalFormat.InvalidFieldsLength, JournalRule.Payload, "an invalidation is too short");
        var block = CheckBlock(BinaryPrimitives.ReadUInt32LittleEndian(payload));
        var count = BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]);
        payload = payload[JournalFormat.InvalidFieldsLength..];
        Require(payload.Length == count * (long)JournalFormat.RunLength, JournalRule.Payload, $"an invalidation of {count} runs has {payload.Length} bytes");
        for (; !payload.IsEmpty; payload = payload[JournalFormat.RunLength..])
        {
            _visitor.Invalidate(block, CheckRun(block, payload));
        }
    }

    private void ApplyStep(ReadOnlySpan<byte> payload)
    {
        Require(
            payload.Length is >= JournalFormat.StepFieldsLength and <= JournalFormat.StepFieldsLength + JournalFormat.MaxStepTextLength,
            JournalRule.Payload,
            $"a step has {payload.Length} bytes");
        var step = BinaryPrimitives.ReadUInt32LittleEndian(payload);
        var milliseconds = BinaryPrimitives.ReadUInt64LittleEndian(payload[4..]);
        var text = payload[JournalFormat.StepFieldsLength..];
        Require(milliseconds <= (ulong)LastMillisecond && Utf8.IsValid(text), JournalRule.Payload, "the time or the text of a step isn't one");
        _visitor.Step(step, DateTimeOffset.FromUnixTimeMilliseconds((long)milliseconds), Encoding.UTF8.GetString(text));
    }

    private int CheckBlock(uint block)
    {
        Require(block < _identity!.Blocks.Count, JournalRule.Pages, $"there is no RAMBlock {block}");
        return (int)block;
    }

    private PageRun CheckRun(int block, ReadOnlySpan<byte> bytes)
    {
        var first = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        var count = BinaryPrimitives.ReadUInt64LittleEndian(bytes[sizeof(ulong)..]);
        var pages = (ulong)_identity!.Blocks[block].Pages;
        Require(
            count > 0 && first < pages && count <= pages - first,
            JournalRule.Pages,
            $"{count} pages from {first} on aren't in RAMBlock \"{_identity.Blocks[block].Name}\" of {pages} pages");
        return new PageRun((long)first, (long)count);
    }

    private void Require(bool holds, JournalRule rule, string message)
    {
        if (!holds)
        {
            throw Damaged(rule, message);
        }
    }

    private JournalException Damaged(JournalRule rule, string message) => new(_offset, rule, message);

    /// <summary>The bytes from <paramref name="offset"/> on, fewer at the end of the file; valid until the next call.</summary>
    private ReadOnlySpan<byte> Peek(long offset, int count)
    {
        count = (int)Math.Min(Math.Min(count, _window.Length), _input.Length - offset);
        if (offset < _windowStart || offset + count > _windowStart + _windowFilled)
        {
            _windowFilled = 0;
            var filled = (int)Math.Min(_window.Length, _input.Length - offset);
            _input.ReadExactly(offset, _window.AsSpan(0, filled));
            _windowStart = offset;
            _windowFilled = filled;
        }

        return _window.AsSpan((int)(offset - _windowStart), count);
    }
}

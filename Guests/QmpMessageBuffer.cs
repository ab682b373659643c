using System.Text.Json;

namespace DistMigrate.Guests;

/// <summary>
/// Cuts the bytes of a QMP connection into JSON messages. QMP separates them by white space only (a monitor with
/// <c>pretty=on</c> spreads one over many lines), so a message ends where its JSON value ends.
/// </summary>
internal sealed class QmpMessageBuffer(int limit)
{
    private byte[] _bytes = new byte[Math.Min(limit, 64 * 1024)];
    private int _start;
    private int _end;

    /// <summary>Room for the next read; grows up to the limit.</summary>
    /// <exception cref="JsonException">One message is larger than the limit.</exception>
    public Memory<byte> Room()
    {
        if (_start > 0)
        {
            _bytes.AsSpan(_start, _end - _start).CopyTo(_bytes);
            _end -= _start;
            _start = 0;
        }

        if (_end == _bytes.Length)
        {
            if (_bytes.Length >= limit)
                throw new JsonException($"A message is longer than {limit} bytes.");
            Array.Resize(ref _bytes, (int)Math.Min(limit, _bytes.Length * 2L));
        }

        return _bytes.AsMemory(_end);
    }

    /// <summary>Takes in what was read into <see cref="Room"/>.</summary>
    public void Advance(int count) => _end += count;

    /// <summary>The next whole message, if it has arrived.</summary>
    /// <exception cref="JsonException">The bytes are not JSON.</exception>
    public bool TryTake(out JsonElement message)
    {
        message = default;
        while (_start < _end && _bytes[_start] is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n')
            _start++;

        if (_start == _end)
            return false;
        var reader = new Utf8JsonReader(_bytes.AsSpan(_start, _end - _start), isFinalBlock: false, state: default);
        if (!JsonElement.TryParseValue(ref reader, out var element))
            return false;
        message = element.Value;
        _start += (int)reader.BytesConsumed;
        return true;
    }
}

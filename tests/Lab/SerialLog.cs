using System.Text;

namespace DistMigrate.Tests.Lab;

/// <summary>What a guest printed on its first serial port, which QEMU appends to a file.</summary>
public sealed class SerialLog
{
    private readonly string _path;
    private readonly Func<string> _describe;
    private readonly Func<bool> _hasEnded;
    private readonly StringBuilder _text = new();
    private readonly Lock _gate = new();
    private long _position;

    /// <summary>The log of a guest.</summary>
    /// <param name="path">The file; it need not be there yet.</param>
    /// <param name="hasEnded">Whether the guest's QEMU has ended.</param>
    /// <param name="describe">What is known of the guest, for the message of a failure.</param>
    public SerialLog(string path, Func<bool> hasEnded, Func<string> describe)
    {
        _path = path;
        _hasEnded = hasEnded;
        _describe = describe;
    }

    /// <summary>Characters so far.</summary>
    public long Length => new FileInfo(_path) is { Exists: true } file ? file.Length : 0;

    /// <summary>Whether the guest's QEMU has ended.</summary>
    public bool HasEnded => _hasEnded();

    /// <summary>Everything so far.</summary>
    public string Text
    {
        get
        {
            lock (_gate)
            {
                if (File.Exists(_path))
                {
                    using var file = new FileStream(_path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                    file.Position = _position;
                    Span<byte> buffer = stackalloc byte[4096];
                    while (file.Read(buffer) is > 0 and var read)
                    {
                        _text.Append(Encoding.Latin1.GetString(buffer[..read]));
                        _position += read;
                    }
                }

                return _text.ToString();
            }
        }
    }

    /// <summary>Waits until the log satisfies the predicate, and returns it.</summary>
    /// <param name="predicate">Sees everything printed so far.</param>
    /// <param name="what">The condition in words, for the message.</param>
    /// <param name="limit">Null: <see cref="Wait.Ordinary"/>.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="TimeoutException">Not within the limit; the message has the end of the log and QEMU's stderr.</exception>
    /// <exception cref="InvalidOperationException">QEMU ended before.</exception>
    public async Task<string> WaitAsync(Predicate<string> predicate, string what, TimeSpan? limit = null, CancellationToken cancellationToken = default)
    {
        var text = "";
        await Wait.UntilAsync(
            () =>
            {
                var ended = _hasEnded();
                text = Text;
                return predicate(text) || (ended
                    ? throw new InvalidOperationException($"QEMU ended before {what}. {_describe()}")
                    : false);
            },
            what,
            limit,
            _describe,
            cancellationToken);
        return text;
    }
}

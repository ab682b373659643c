using System.Text;
using System.Text.Json;
using CsCheck;
using DistMigrate.Guests;

namespace DistMigrate.Tests.Unit.Guests;

public sealed class QmpMessageBufferTests
{
    private static readonly string[] Messages =
    [
        """{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}}, "capabilities": ["oob"]}}""",
        """{"return": {}, "id": 1}""",
        "{\n    \"timestamp\": {\n        \"seconds\": 1\n    },\n    \"event\": \"STOP\"\n}",
        """{"return": {"human-readable-text": "brace } and \" quote\r\n"}, "id": 2}""",
    ];

    [Fact]
    public void Messages_come_out_whole_wherever_the_bytes_are_cut()
    {
        var bytes = Encoding.UTF8.GetBytes(string.Join("\r\n", Messages) + "\r\n");
        Gen.Int[1, 40].Array[0, 40].Sample(cuts =>
        {
            var buffer = new QmpMessageBuffer(4096);
            var got = new List<string>();
            var sent = 0;
            foreach (var size in cuts.Append(bytes.Length))
            {
                var part = bytes.AsSpan(sent, Math.Min(size, bytes.Length - sent));
                part.CopyTo(buffer.Room().Span);
                buffer.Advance(part.Length);
                sent += part.Length;
                while (buffer.TryTake(out var message))
                    got.Add(message.GetRawText());
            }

            return got.SequenceEqual(Messages);
        });
    }

    [Fact]
    public void Bytes_that_are_not_JSON_are_refused() =>
        Assert.ThrowsAny<JsonException>(() => Feed(new QmpMessageBuffer(4096), "QEMU 10.0.2 monitor - type 'help'\r\n").TryTake(out _));

    [Fact]
    public void A_message_longer_than_the_limit_is_refused()
    {
        var buffer = Feed(new QmpMessageBuffer(64), "{\"return\": \"" + new string('x', 52));
        Assert.False(buffer.TryTake(out _));
        Assert.ThrowsAny<JsonException>(() => buffer.Room());
    }

    private static QmpMessageBuffer Feed(QmpMessageBuffer buffer, string text)
    {
        foreach (var b in Encoding.UTF8.GetBytes(text))
        {
            buffer.Room().Span[0] = b;
            buffer.Advance(1);
        }

        return buffer;
    }
}

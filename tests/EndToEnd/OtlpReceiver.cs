using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>A receiver of traces over OTLP/HTTP (opentelemetry-proto, trace/v1/trace.proto): keeps the spans that it gets.</summary>
internal sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly HttpListener _listener = new();
    private readonly ConcurrentQueue<OtlpSpan> _spans = new();
    private readonly Task _receiving;

    private OtlpReceiver(string endpoint)
    {
        Endpoint = endpoint;
        _listener.Prefixes.Add(endpoint + "/");
        _listener.Start();
        _receiving = ReceiveAsync();
    }

    /// <summary>Its address, for <c>Otlp:Endpoint</c>.</summary>
    public string Endpoint { get; }

    /// <summary>What came so far.</summary>
    public IReadOnlyList<OtlpSpan> Spans => [.. _spans];

    /// <summary>Listens on a free port of loopback.</summary>
    public static OtlpReceiver Start()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        var port = ((IPEndPoint)probe.LocalEndpoint).Port;
        probe.Stop();
        return new OtlpReceiver($"http://127.0.0.1:{port}/v1/traces");
    }

    public async ValueTask DisposeAsync()
    {
        _listener.Close();
        await _receiving;
    }

    private async Task ReceiveAsync()
    {
        while (true)
        {
            HttpListenerContext request;
            try
            {
                request = await _listener.GetContextAsync();
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
            {
                // It was closed.
                return;
            }

            using var body = new MemoryStream();
            await request.Request.InputStream.CopyToAsync(body);
            foreach (var resource in Fields(body.ToArray(), 1))
            {
                foreach (var span in Fields(resource, 2).SelectMany(scope => Fields(scope, 2)))
                    _spans.Enqueue(OtlpSpan.Of(span));
            }

            request.Response.Close();
        }
    }

    /// <summary>The length-delimited fields of a number.</summary>
    internal static IEnumerable<byte[]> Fields(byte[] message, int number)
    {
        var at = 0;
        while (at < message.Length)
        {
            var tag = Number(message, ref at);
            switch (tag & 7)
            {
                case 0:
                    Number(message, ref at);
                    break;
                case 1:
                    at += 8;
                    break;
                case 2:
                    var length = (int)Number(message, ref at);
                    if (tag >> 3 == (ulong)number)
                        yield return message[at..(at + length)];
                    at += length;
                    break;
                default:
                    at += 4;
                    break;
            }
        }
    }

    private static ulong Number(byte[] message, ref int at)
    {
        ulong value = 0;
        for (var shift = 0; ; shift += 7)
        {
            var part = message[at++];
            value |= (ulong)(part & 0x7F) << shift;
            if (part < 0x80)
                return value;
        }
    }
}

/// <summary>A span.</summary>
/// <param name="Trace">Its trace.</param>
/// <param name="Id">Its id.</param>
/// <param name="Parent">That of the span above; empty for the first.</param>
/// <param name="Name">Its name.</param>
/// <param name="Events">Names of its events.</param>
/// <param name="Texts">Names and values of its attributes, one after the other, as far as they are texts.</param>
internal sealed record OtlpSpan(string Trace, string Id, string Parent, string Name, IReadOnlyList<string> Events, IReadOnlyList<string> Texts)
{
    public static OtlpSpan Of(byte[] span) => new(
        Hex(span, 1), Hex(span, 2), Hex(span, 4), Text(span, 5), [.. OtlpReceiver.Fields(span, 11).Select(@event => Text(@event, 2))],
        [.. OtlpReceiver.Fields(span, 9).SelectMany(attribute => OtlpReceiver.Fields(attribute, 2).Select(value => Text(value, 1)).Prepend(Text(attribute, 1)))]);

    private static string Hex(byte[] message, int field) => OtlpReceiver.Fields(message, field).Select(Convert.ToHexStringLower).FirstOrDefault("");

    private static string Text(byte[] message, int field) => OtlpReceiver.Fields(message, field).Select(Encoding.UTF8.GetString).FirstOrDefault("");
}

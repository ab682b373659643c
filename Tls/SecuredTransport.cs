using System.IO.Pipelines;
using System.Net.Security;

namespace DistMigrate.Tls;

/// <summary>What is said inside a TLS session, as the transport that a connection's users see.</summary>
internal sealed class SecuredTransport(SslStream session) : IDuplexPipe
{
    // The most that one TLS record holds.
    private const int RecordLength = 16 * 1024;

    public PipeReader Input { get; } = PipeReader.Create(session, new StreamPipeReaderOptions(bufferSize: RecordLength, leaveOpen: true));

    public PipeWriter Output { get; } = PipeWriter.Create(session, new StreamPipeWriterOptions(minimumBufferSize: RecordLength, leaveOpen: true));
}

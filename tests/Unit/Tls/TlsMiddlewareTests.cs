using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using DistMigrate.Tests.Lab;
using DistMigrate.Tls;
using Microsoft.AspNetCore.Connections;

namespace DistMigrate.Tests.Unit.Tls;

/// <summary>Two ends of a real connection: who is let in, and what both ends say of who is not.</summary>
public sealed class TlsMiddlewareTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("dm-tls-").FullName;
    private readonly TestAuthority _authority;
    private readonly TestAuthority _strange;

    public TlsMiddlewareTests()
    {
        _authority = new TestAuthority(Path.Combine(_folder, "own"));
        _strange = new TestAuthority(Path.Combine(_folder, "strange"));
    }

    public void Dispose()
    {
        _authority.Dispose();
        _strange.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData(TlsRole.Client, false)]
    [InlineData(TlsRole.Client, true)]
    [InlineData(TlsRole.Silo, true)]
    public async Task A_member_is_let_in_and_every_byte_arrives(TlsRole least, bool isSilo)
    {
        var (accepting, connecting) = await ConnectAsync(
            least, Files(_authority, _authority.Issue("silo", isSilo: true)), Files(_authority, _authority.Issue("peer", isSilo)), isSilo);
        Assert.Null(accepting.Refusal);
        Assert.Null(connecting.Refusal);
        Assert.Equal(Sample, accepting.Received);
        Assert.Equal(Sample, connecting.Received);
    }

    [Fact]
    public async Task A_client_is_refused_where_silos_connect()
    {
        var (accepting, connecting) = await ConnectAsync(
            TlsRole.Silo, Files(_authority, _authority.Issue("silo", isSilo: true)), Files(_authority, _authority.Issue("client", isSilo: false)), isSilo: false);
        Assert.Contains("is not a silo's", accepting.Refusal, StringComparison.Ordinal);
        Assert.Contains("does not accept this certificate", connecting.Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stranger_that_trusts_the_silo_is_refused_by_it()
    {
        var (accepting, connecting) = await ConnectAsync(
            TlsRole.Client, Files(_authority, _authority.Issue("silo", isSilo: true)), TrustingAll(_strange.Issue("stranger", isSilo: true)), isSilo: true);
        Assert.Contains("'CN=stranger' is not of the authority in", accepting.Refusal, StringComparison.Ordinal);
        Assert.Contains("does not accept this certificate", connecting.Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_strange_silo_is_refused_by_who_connects_to_it_before_a_byte_is_sent()
    {
        var (accepting, connecting) = await ConnectAsync(
            TlsRole.Client, TrustingAll(_strange.Issue("trap", isSilo: true)), Files(_authority, _authority.Issue("client", isSilo: false)), isSilo: false);
        Assert.Contains("'CN=trap' is not of the authority in", connecting.Refusal, StringComparison.Ordinal);
        Assert.All(accepting.Received, received => Assert.Equal(0, received));
    }

    [Fact]
    public async Task Who_does_not_speak_TLS_is_refused()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var client = new TcpClient();
        await client.ConnectAsync((IPEndPoint)listener.LocalEndpoint);
        var end = new End(await listener.AcceptSocketAsync());
        var accepting = end.RunAsync(report => TlsMiddleware.Accepting(
            new CredentialFiles(Files(_authority, _authority.Issue("silo", isSilo: true)), TlsRole.Silo, report), TlsRole.Client, report));
        await client.GetStream().WriteAsync(Sample);
        await accepting.WaitAsync(Wait.Ordinary);
        Assert.Contains("does not speak TLS 1.3", end.Refusal, StringComparison.Ordinal);
    }

    // More than several TLS records.
    private static byte[] Sample { get; } = [.. Enumerable.Range(0, 100_000).Select(n => (byte)(n * 7 >> 3))];

    private static TlsFiles Files(TestAuthority authority, (string Certificate, string Key) own) => new(own.Certificate, own.Key, authority.CertificateFile);

    /// <summary>The files of a stranger, who trusts members and strangers.</summary>
    private TlsFiles TrustingAll((string Certificate, string Key) own)
    {
        var all = Path.Combine(_folder, "all.pem");
        File.WriteAllText(all, File.ReadAllText(_strange.CertificateFile) + File.ReadAllText(_authority.CertificateFile));
        return new TlsFiles(own.Certificate, own.Key, all);
    }

    /// <summary>Connects two ends, each of which sends <see cref="Sample"/> and reads as much.</summary>
    private static async Task<(End Accepting, End Connecting)> ConnectAsync(TlsRole least, TlsFiles silo, TlsFiles peer, bool isSilo)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(listener.LocalEndpoint);
        var connecting = new End(socket);
        var accepting = new End(await listener.AcceptSocketAsync());
        await Task.WhenAll(
            accepting.RunAsync(report => TlsMiddleware.Accepting(new CredentialFiles(silo, TlsRole.Silo, report), least, report)),
            connecting.RunAsync(report => TlsMiddleware.Connecting(new CredentialFiles(peer, isSilo ? TlsRole.Silo : TlsRole.Client, report), report)))
            .WaitAsync(Wait.Ordinary);
        return (accepting, connecting);
    }

    private sealed class End(Socket socket) : ITlsReport
    {
        public string? Refusal { get; private set; }

        public byte[] Received { get; } = new byte[Sample.Length];

        public async Task RunAsync(Func<ITlsReport, TlsMiddleware> middleware)
        {
            await using var stream = new NetworkStream(socket, ownsSocket: true);
            var context = new DefaultConnectionContext { Transport = new Transport(PipeReader.Create(stream), PipeWriter.Create(stream)) };
            try
            {
                await middleware(this).OnConnectionAsync(context, async secured =>
                {
                    var writing = secured.Transport.Output.WriteAsync(Sample);
                    await secured.Transport.Input.AsStream(leaveOpen: true).ReadExactlyAsync(Received);
                    await writing;
                });
            }
            catch (ConnectionAbortedException) when (Refusal is not null)
            {
                // Who connects is told so.
            }
            catch (EndOfStreamException)
            {
                // The other end looked at the certificate when this one had finished its handshake.
            }
        }

        public void Refused(EndPoint? peer, string reason) => Refusal = reason;

        public void Renewed(TlsCredentials credentials) => Assert.Fail("nothing was written anew");

        public void NotRenewed(TlsException reason) => Assert.Fail(reason.Message);
    }

    private sealed record Transport(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}

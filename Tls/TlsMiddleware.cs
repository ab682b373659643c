using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Connections;
using Orleans.Runtime.Messaging;

namespace DistMigrate.Tls;

/// <summary>
/// Puts TLS 1.3 between two members of a cluster, both of which show their certificates. Names are not compared: silos are known by
/// address, and a certificate of the cluster's own authority is what makes a member.
/// </summary>
public sealed class TlsMiddleware : IConnectionMiddleware
{
    /// <summary>
    /// The accepting side's first byte. In TLS 1.3 the connecting side has finished its handshake before its certificate is looked at;
    /// by this byte it learns that it is let in, and without it, that it is not.
    /// </summary>
    private const byte LetIn = 1;

    private static readonly TimeSpan HandshakeLimit = TimeSpan.FromSeconds(10);

    private readonly CredentialFiles _files;
    private readonly TlsRole _peer;
    private readonly bool _isAccepting;
    private readonly ITlsReport _report;

    private TlsMiddleware(CredentialFiles files, TlsRole peer, bool isAccepting, ITlsReport report)
    {
        _files = files;
        _peer = peer;
        _isAccepting = isAccepting;
        _report = report;
    }

    /// <summary>For connections that others open.</summary>
    /// <param name="files">What this process shows, and whom it trusts.</param>
    /// <param name="peer">What the other side must be at least: a silo may do what a client may.</param>
    /// <param name="report">Is told of refusals.</param>
    public static TlsMiddleware Accepting(CredentialFiles files, TlsRole peer, ITlsReport report) => new(files, peer, isAccepting: true, report);

    /// <summary>For connections to a silo that this process opens.</summary>
    /// <param name="files">What this process shows, and whom it trusts.</param>
    /// <param name="report">Is told of refusals.</param>
    public static TlsMiddleware Connecting(CredentialFiles files, ITlsReport report) => new(files, TlsRole.Silo, isAccepting: false, report);

    /// <inheritdoc/>
    public async Task OnConnectionAsync(ConnectionContext context, ConnectionDelegate next)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(next);
        var transport = context.Transport;
        await using var session = new SslStream(new TransportStream(transport));
        if (await TryHandshakeAsync(session, context.ConnectionClosed) is { } refusal)
        {
            _report.Refused(context.RemoteEndPoint, refusal);
            var reason = new ConnectionAbortedException($"There is no TLS with {context.RemoteEndPoint}: {refusal}.");
            context.Abort(reason);

            // Who connects has a caller to tell; on the accepting side, the report has said it all.
            if (_isAccepting)
                return;
            throw reason;
        }

        var secured = new SecuredTransport(session);
        context.Transport = secured;
        try
        {
            await next(context);
        }
        finally
        {
            context.Transport = transport;
            await secured.Input.CompleteAsync();
            await secured.Output.CompleteAsync(new ConnectionAbortedException());
        }
    }

    /// <summary>Null once both sides know that they accept each other; else why not.</summary>
    private async Task<string?> TryHandshakeAsync(SslStream session, CancellationToken closed)
    {
        var credentials = _files.Current();
        string? refusal = null;
        var isPeerKnown = false;
        bool IsMember(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
        {
            refusal = credentials.WhyNot(certificate as X509Certificate2, chain, _peer);
            if (refusal is null && (errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) != SslPolicyErrors.None)
                refusal = $"its certificate is not valid ({errors})";
            isPeerKnown = refusal is null;
            return isPeerKnown;
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(closed);
        limit.CancelAfter(HandshakeLimit);
        try
        {
            if (_isAccepting)
            {
                await session.AuthenticateAsServerAsync(AsServer(credentials, IsMember), limit.Token);
                await session.WriteAsync(new[] { LetIn }, limit.Token);
                return null;
            }

            await session.AuthenticateAsClientAsync(AsClient(credentials, IsMember), limit.Token);
            var answer = new byte[1];
            return await session.ReadAsync(answer, limit.Token) == 1 && answer[0] == LetIn ? null : NotLetIn;
        }
        catch (Exception e) when (e is AuthenticationException or IOException or OperationCanceledException or InvalidOperationException or CryptographicException)
        {
            if (refusal is not null)
                return refusal;
            if (e is OperationCanceledException && !closed.IsCancellationRequested)
                return $"it did not finish the handshake within {HandshakeLimit.TotalSeconds:0} s";
            if (isPeerKnown)
                return NotLetIn;
            var cause = e.GetBaseException().Message.Split('\n')[0].TrimEnd('.');
            return _isAccepting
                ? $"it does not speak TLS 1.3, or does not accept this silo's certificate ({cause})"
                : $"it does not speak TLS 1.3, or hung up before it showed a certificate ({cause})";
        }
    }

    private static string NotLetIn => "it does not accept this certificate, or hung up; its log says why";

    // Sessions are not resumed: every connection looks at certificates as they are now.
    private static SslServerAuthenticationOptions AsServer(TlsCredentials credentials, RemoteCertificateValidationCallback isMember) => new()
    {
        EnabledSslProtocols = SslProtocols.Tls13,
        ServerCertificateContext = credentials.Own,
        ClientCertificateRequired = true,
        CertificateChainPolicy = credentials.Policy(),
        RemoteCertificateValidationCallback = isMember,
        AllowTlsResume = false,
    };

    private static SslClientAuthenticationOptions AsClient(TlsCredentials credentials, RemoteCertificateValidationCallback isMember) => new()
    {
        EnabledSslProtocols = SslProtocols.Tls13,
        ClientCertificateContext = credentials.Own,
        CertificateChainPolicy = credentials.Policy(),
        RemoteCertificateValidationCallback = isMember,
        AllowTlsResume = false,
        TargetHost = "",
    };
}

using System.Net;
using DistMigrate.Client.Values;
using DistMigrate.Tls;
using Orleans.Configuration;

namespace DistMigrate.Client.Connection;

/// <summary>Puts TLS on the connections to gateways, and keeps why the last one came to nothing, which Orleans would not tell.</summary>
internal sealed class ClientTls : ITlsReport
{
    private readonly CredentialFiles _files;

    /// <exception cref="CommandException">A file cannot be used.</exception>
    public ClientTls(TlsFiles files)
    {
        try
        {
            _files = new CredentialFiles(files, TlsRole.Client, this);
        }
        catch (TlsException e)
        {
            throw new CommandException(ExitCode.Unreachable, $"no TLS connection can be made: {e.Message}", innerException: e);
        }
    }

    /// <summary>Why there was no TLS with a gateway; null when there was none to refuse.</summary>
    public string? Refusal { get; private set; }

    /// <summary>Puts it on a client's connections, of which none has been refused yet.</summary>
    public void AddTo(IClientBuilder client)
    {
        Refusal = null;
        client.Configure<ClientConnectionOptions>(
            options => options.ConfigureConnection(builder => builder.UseMiddleware(TlsMiddleware.Connecting(_files, this))));
    }

    public void Refused(EndPoint? peer, string reason) => Refusal = $"no TLS with {peer}: {Printable.Of(reason)}";

    public void Renewed(TlsCredentials credentials)
    {
    }

    public void NotRenewed(TlsException reason)
    {
    }
}

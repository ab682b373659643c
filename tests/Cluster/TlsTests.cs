using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>Three hosts that take TLS only: who has a certificate of their authority is let in, and nobody else.</summary>
public sealed class TlsTests : IDisposable
{
    private const int Unreachable = 9;

    private readonly string _folder = Directory.CreateTempSubdirectory("dm-tls-").FullName;
    private readonly TestAuthority _authority;
    private readonly TestAuthority _strange;

    public TlsTests()
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

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task Three_silos_with_certificates_are_a_cluster_and_save_a_guest()
    {
        await using var cluster = await ClusterUnderTest.StartAsync(tls: _authority);
        await using var guest = await QemuProcess.StartAsync(new GuestRecipe { MiB = 24 });
        await guest.WaitUntilReadyAsync();
        var image = cluster.Image("a.img");
        var id = await cluster.SubmitSaveAsync("host-b", guest, image, "16MiB/s");
        await cluster.CompleteAsync(id, image);
        Assert.Contains("New TLS connections show the certificate 'CN=host-a'", cluster.Log, StringComparison.Ordinal);
    }

    [RequiresQemuFact(LabNeeds.Redis)]
    public async Task A_client_without_a_certificate_or_with_a_strange_one_is_refused()
    {
        await using var cluster = await ClusterUnderTest.StartAsync(tls: _authority);
        var plain = (await cluster.RunAsAsync([], "list")).ExpectExit(Unreachable);
        Assert.Contains("take TLS only", plain.ErrorOutput, StringComparison.Ordinal);

        // It trusts nobody here, and nobody here trusts it.
        var strange = (await cluster.RunAsAsync(TlsVariables(_strange, "stranger"), "list")).ExpectExit(Unreachable);
        Assert.Contains("is not of the authority in", strange.ErrorOutput, StringComparison.Ordinal);

        // A file that its own check refuses.
        var expired = TlsVariables(_authority, "late", TimeSpan.FromHours(-1));
        Assert.Contains("is valid from", (await cluster.RunAsAsync(expired, "list")).ExpectExit(Unreachable).ErrorOutput, StringComparison.Ordinal);

        // A client of its own making, which trusts anybody: the gateway decides.
        var gateway = IPEndPoint.Parse(cluster.Hosts[0].Gateway);
        Assert.False(await IsLetInAsync(gateway, null));
        Assert.False(await IsLetInAsync(gateway, Load(_strange.Issue("intruder", isSilo: true))));
        Assert.True(await IsLetInAsync(gateway, Load(_authority.Issue("member", isSilo: false))));
        await Wait.UntilAsync(
            () => cluster.Hosts[0].Log.Contains("it has shown no certificate", StringComparison.Ordinal)
                && cluster.Hosts[0].Log.Contains("the certificate 'CN=intruder' is not of the authority in", StringComparison.Ordinal),
            "the silo tells whom it refused", details: () => cluster.Log);
        (await cluster.RunAsync("list")).ExpectOk();
    }

    [RequiresQemuFact(LabNeeds.Redis)]
    public async Task A_silo_of_another_authority_does_not_join()
    {
        await using var cluster = await ClusterUnderTest.StartAsync(tls: _authority);
        await using var stranger = cluster.Add("host-x", ClusterUnderTest.SiloTls(_strange, "host-x"));
        stranger.Start();
        await Wait.UntilAsync(
            () => stranger.Log.Contains("is not of the authority in", StringComparison.Ordinal)
                && cluster.Log.Contains("No TLS connection with", StringComparison.Ordinal),
            "both sides refuse", details: () => $"{stranger.Log}\n{cluster.Log}");
        Assert.False(stranger.IsReady);

        await cluster.WaitForHostsAsync("up", "up", "up");
    }

    [RequiresQemuFact(LabNeeds.Redis)]
    public async Task A_silo_takes_a_new_certificate_without_a_restart()
    {
        await using var cluster = await ClusterUnderTest.StartAsync(tls: _authority);
        _authority.Issue("host-a", isSilo: true, TimeSpan.FromDays(3));
        var serial = await SerialAsync(IPEndPoint.Parse(cluster.Hosts[0].Gateway));
        using var issued = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(_folder, "own", "host-a.pem"));
        Assert.Equal(issued.SerialNumber, serial);
        (await cluster.RunAsync("list")).ExpectOk();
    }

    private static Dictionary<string, string> TlsVariables(TestAuthority authority, string name, TimeSpan? validFor = null) =>
        ClusterUnderTest.ClientTls(authority, authority.Issue(name, isSilo: false, validFor));

    private static X509Certificate2 Load((string Certificate, string Key) files) => X509Certificate2.CreateFromPemFile(files.Certificate, files.Key);

    /// <summary>Whether a port takes a certificate: its first byte says so.</summary>
    private static async Task<bool> IsLetInAsync(IPEndPoint endpoint, X509Certificate2? certificate)
    {
        using var mine = certificate;
        try
        {
            using var client = new TcpClient();
            await using var session = await HandshakeAsync(client, endpoint, certificate);
            return await session.ReadAsync(new byte[1]).AsTask().WaitAsync(Wait.Ordinary) == 1;
        }
        catch (Exception e) when (e is IOException or AuthenticationException)
        {
            return false;
        }
    }

    private static async Task<string> SerialAsync(IPEndPoint endpoint)
    {
        using var client = new TcpClient();
        await using var session = await HandshakeAsync(client, endpoint, null);
        return session.RemoteCertificate!.GetSerialNumberString();
    }

    private static async Task<SslStream> HandshakeAsync(TcpClient client, IPEndPoint endpoint, X509Certificate2? certificate)
    {
        await client.ConnectAsync(endpoint);
        var session = new SslStream(client.GetStream());
        await session.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "",
            ClientCertificateContext = certificate is null ? null : SslStreamCertificateContext.Create(certificate, null, offline: true),
            RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate is not null,
        });
        return session;
    }
}

using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace DistMigrate.Tests.Lab;

/// <summary>A certificate authority of a test's own, with its files in a folder of the test.</summary>
public sealed class TestAuthority : IDisposable
{
    private static readonly DateTimeOffset Now = TimeProvider.System.GetUtcNow();

    private readonly string _folder;
    private readonly X509Certificate2 _certificate;

    /// <summary>Makes one.</summary>
    /// <param name="folder">Where its files and those of its members go; it is created.</param>
    public TestAuthority(string folder)
    {
        _folder = Directory.CreateDirectory(folder).FullName;
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=test authority", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false));
        _certificate = request.CreateSelfSigned(Now.AddDays(-10), Now.AddDays(10));
        File.WriteAllText(CertificateFile, _certificate.ExportCertificatePem() + "\n");
    }

    /// <summary>Its certificate.</summary>
    public string CertificateFile => Path.Combine(_folder, "ca.pem");

    /// <summary>Issues a certificate: <c>NAME.pem</c> and <c>NAME.key</c> in the folder, in the place of earlier ones of that name.</summary>
    /// <param name="name">Its subject and files.</param>
    /// <param name="isSilo">Whether it is for a silo; else for a client.</param>
    /// <param name="validFor">How long it is valid from now on; negative when it has expired.</param>
    /// <param name="hasUsage">Whether it says what it is for.</param>
    public (string Certificate, string Key) Issue(string name, bool isSilo, TimeSpan? validFor = null, bool hasUsage = true)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: false, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(_certificate, includeKeyIdentifier: true, includeIssuerAndSerial: false));
        if (hasUsage)
        {
            var usages = new OidCollection { new("1.3.6.1.5.5.7.3.2") };
            if (isSilo)
                usages.Add(new("1.3.6.1.5.5.7.3.1"));
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(usages, critical: false));
        }

        using var certificate = request.Create(_certificate, Now.AddDays(-5), Now + (validFor ?? TimeSpan.FromDays(1)), RandomNumberGenerator.GetBytes(8));
        var files = (Path.Combine(_folder, $"{name}.pem"), Path.Combine(_folder, $"{name}.key"));
        File.WriteAllText(files.Item1, certificate.ExportCertificatePem());
        WriteKey(files.Item2, key.ExportPkcs8PrivateKeyPem());
        return files;
    }

    /// <inheritdoc/>
    public void Dispose() => _certificate.Dispose();

    private static void WriteKey(string path, string text)
    {
        File.WriteAllText(path, text);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }
}

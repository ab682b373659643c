using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace DistMigrate.Tls;

/// <summary>The certificate and key of this process, and the authority that decides who else is a member.</summary>
public sealed class TlsCredentials
{
    private const string ServerUsage = "1.3.6.1.5.5.7.3.1";
    private const string ClientUsage = "1.3.6.1.5.5.7.3.2";
    private const int MaxSubjectLength = 100;

    private readonly TlsFiles _files;
    private readonly X509Certificate2Collection _authorities;

    private TlsCredentials(TlsFiles files, X509Certificate2Collection authorities, SslStreamCertificateContext own)
    {
        _files = files;
        _authorities = authorities;
        Own = own;
    }

    /// <summary>The certificate, by its subject, as part of a sentence.</summary>
    public string Name => Printable(Own.TargetCertificate);

    /// <summary>The end of the certificate's time.</summary>
    public DateTimeOffset ValidUntil => Own.TargetCertificate.NotAfter;

    internal SslStreamCertificateContext Own { get; }

    /// <summary>Reads the files, and refuses what the other members would refuse.</summary>
    /// <exception cref="TlsException">A file is missing, unreadable, malformed, or not what the cluster takes.</exception>
    public static TlsCredentials Load(TlsFiles files, TlsRole role)
    {
        ArgumentNullException.ThrowIfNull(files);
        return Parse(files, PemTexts.Read(files), role);
    }

    internal static TlsCredentials Parse(TlsFiles files, PemTexts texts, TlsRole role)
    {
        var authorities = Certificates(texts.Authority, files.Authority);
        if (authorities.FirstOrDefault(certificate => !IsAuthority(certificate)) is { } other)
            throw new TlsException(
                $"{files.Authority} has {Printable(other)}, which is no certificate of an authority (CA:TRUE). Name the file of the cluster's own authority.");

        var chain = Certificates(texts.Certificate, files.Certificate);
        var own = WithKey(files, texts);
        chain.RemoveAt(0);
        var credentials = new TlsCredentials(files, authorities, SslStreamCertificateContext.Create(own, chain, offline: true));
        if (credentials.WhyNot(own, chain, role) is { } reason)
            throw new TlsException($"the certificate {files.Certificate} cannot be used: {reason}. Have another one made.");
        return credentials;
    }

    /// <summary>Certificates are trusted when they lead to the cluster's authority; nothing is asked of the system or the network.</summary>
    internal X509ChainPolicy Policy()
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.AddRange(_authorities);
        return policy;
    }

    /// <summary>Why the holder of a certificate is not a member in this role; null when it is one.</summary>
    /// <param name="certificate">The certificate; null when none was shown.</param>
    /// <param name="chain">What came of <see cref="Policy"/>.</param>
    /// <param name="role">The role.</param>
    internal string? WhyNot(X509Certificate2? certificate, X509Chain? chain, TlsRole role)
    {
        if (certificate is null || chain is null)
            return "it has shown no certificate";
        var faults = chain.ChainStatus.Aggregate(X509ChainStatusFlags.NoError, (all, one) => all | one.Status);
        var name = Printable(certificate);
        if ((faults & (X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain | X509ChainStatusFlags.NotSignatureValid)) != 0)
            return $"{name} is not of the authority in {_files.Authority}";
        if (faults.HasFlag(X509ChainStatusFlags.NotTimeValid))
            return $"{name} is valid from {certificate.NotBefore.ToUniversalTime():u} to {certificate.NotAfter.ToUniversalTime():u}, or its authority is too old or too new";
        if (!HasUsage(certificate, ClientUsage) || role == TlsRole.Silo && !HasUsage(certificate, ServerUsage))
            return role == TlsRole.Silo
                ? $"{name} is not a silo's: its extended key usage must have both serverAuth and clientAuth"
                : $"{name} is not a client's: its extended key usage must have clientAuth";
        return faults == X509ChainStatusFlags.NoError ? null : $"{name} is not valid ({faults})";
    }

    private string? WhyNot(X509Certificate2 own, X509Certificate2Collection between, TlsRole role)
    {
        using var chain = new X509Chain { ChainPolicy = Policy() };
        chain.ChainPolicy.ExtraStore.AddRange(between);
        chain.Build(own);
        return WhyNot(own, chain, role);
    }

    private static X509Certificate2Collection Certificates(string pem, string path)
    {
        var certificates = new X509Certificate2Collection();
        try
        {
            certificates.ImportFromPem(pem);
        }
        catch (CryptographicException e)
        {
            throw new TlsException($"{path} has a certificate that cannot be understood ({e.Message.TrimEnd('.')}). Write it again.", e);
        }

        return certificates.Count > 0 ? certificates : throw new TlsException($"{path} has no certificate in PEM. Name the right file.");
    }

    private static X509Certificate2 WithKey(TlsFiles files, PemTexts texts)
    {
        if (texts.Key.Contains("BEGIN ENCRYPTED PRIVATE KEY", StringComparison.Ordinal))
            throw new TlsException(
                $"the private key {files.Key} has a passphrase, which nobody is there to type. Write it without: openssl pkey -in {files.Key} -out NEW");
        if (!texts.Key.Contains("PRIVATE KEY-----", StringComparison.Ordinal))
            throw new TlsException($"{files.Key} has no private key in PEM. Name the right file.");
        try
        {
            return X509Certificate2.CreateFromPem(texts.Certificate, texts.Key);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new TlsException($"{files.Key} is not the private key of {files.Certificate}, or is malformed. Name the two that were made together.", e);
        }
    }

    private static bool IsAuthority(X509Certificate2 certificate) =>
        certificate.Extensions.OfType<X509BasicConstraintsExtension>().Any(constraints => constraints.CertificateAuthority);

    // A certificate that says nothing of its usage would do for every one.
    private static bool HasUsage(X509Certificate2 certificate, string usage) =>
        certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>().Any(extension => extension.EnhancedKeyUsages[usage] is not null);

    /// <summary>The subject, which a stranger may have chosen, fit for a log.</summary>
    private static string Printable(X509Certificate2 certificate)
    {
        var subject = string.Concat(certificate.Subject.Take(MaxSubjectLength).Select(c => c is < ' ' or > '~' ? '?' : c));
        return subject.Length > 0 ? $"the certificate '{subject}'" : "a certificate without a subject";
    }
}

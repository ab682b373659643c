using DistMigrate.Tls;

namespace DistMigrate.Silo;

/// <summary>The PEM files that make a silo a member of its cluster; none of them means no TLS.</summary>
internal sealed class TlsSettings
{
    /// <summary>The silo's certificate.</summary>
    public string Certificate { get; set; } = "";

    /// <summary>The certificate's private key.</summary>
    public string Key { get; set; } = "";

    /// <summary>Certificates of the cluster's own authority.</summary>
    public string Authority { get; set; } = "";

    /// <summary>Whether any of them is set.</summary>
    public bool IsOn => Certificate.Length + Key.Length + Authority.Length > 0;

    /// <exception cref="InvalidOperationException">A file is not named, or cannot be used; the message names the setting or the file.</exception>
    public void Check()
    {
        if (!IsOn)
            return;
        CheckPath(nameof(Certificate), Certificate);
        CheckPath(nameof(Key), Key);
        CheckPath(nameof(Authority), Authority);
        TlsCredentials.Load(ToFiles(), TlsRole.Silo);
    }

    public TlsFiles ToFiles() => new(Certificate, Key, Authority);

    private static void CheckPath(string name, string path)
    {
        if (!Path.IsPathFullyQualified(path))
            throw new InvalidOperationException($"Cluster:Tls:{name} is '{path}'; it is the absolute path of a PEM file, and Certificate, Key and Authority go together.");
    }
}

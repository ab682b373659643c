using DistMigrate.Tls;

namespace DistMigrate.Silo;

/// <summary>The PEM files that make a silo a member of its cluster; none of them means no TLS.</summary>
internal sealed class TlsSettings
{
    [Setting("the silo's certificate, a PEM file; with all three, connections of the cluster are by mutual TLS only, see [TLS](cluster.md#tls)")]
    public string Certificate { get; set; } = "";

    [Setting("its private key, a PEM file of mode 0600")]
    public string Key { get; set; } = "";

    [Setting("the certificates of the cluster's own authority, a PEM file")]
    public string Authority { get; set; } = "";

    /// <summary>Whether any of them is set.</summary>
    public bool IsOn => Certificate.Length + Key.Length + Authority.Length > 0;

    /// <summary>Tells what is not named, or what of the files cannot be used.</summary>
    public void Check(SettingFaults faults)
    {
        if (!IsOn)
            return;
        (string Name, string Path)[] files = [(nameof(Certificate), Certificate), (nameof(Key), Key), (nameof(Authority), Authority)];
        foreach (var (name, path) in files)
        {
            if (!Path.IsPathFullyQualified(path))
                faults.Value($"Cluster:Tls:{name}", path, "it is the absolute path of a PEM file, and Certificate, Key and Authority go together");
        }

        if (Array.Exists(files, file => faults.Has($"Cluster:Tls:{file.Name}")))
            return;
        try
        {
            TlsCredentials.Load(ToFiles(), TlsRole.Silo);
        }
        catch (TlsException e)
        {
            faults.Add("Cluster:Tls:Certificate", $"Cluster:Tls cannot be used: {e.Message}");
        }
    }

    public TlsFiles ToFiles() => new(Certificate, Key, Authority);
}

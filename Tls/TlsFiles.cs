namespace DistMigrate.Tls;

/// <summary>The files, all PEM, that make a process a member of a cluster.</summary>
/// <param name="Certificate">Its certificate, with those between it and the authority after it, if there are any.</param>
/// <param name="Key">The certificate's private key, without a passphrase, readable by its owner alone.</param>
/// <param name="Authority">The certificates of the cluster's own authority: whoever has a certificate of it is a member.</param>
public sealed record TlsFiles(string Certificate, string Key, string Authority);

namespace DistMigrate.Tls;

/// <summary>What a certificate makes of its holder; its extended key usage says it.</summary>
public enum TlsRole
{
    /// <summary>It may ask silos for something: <c>clientAuth</c>.</summary>
    Client,

    /// <summary>It may also be one: <c>serverAuth</c> and <c>clientAuth</c>, since silos connect to each other.</summary>
    Silo,
}

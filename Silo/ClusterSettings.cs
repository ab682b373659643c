using StackExchange.Redis;

namespace DistMigrate.Silo;

/// <summary>Where membership and grain state lie.</summary>
internal enum ClusterProvider
{
    /// <summary>A cluster of this silo alone; grain state in a file of its state folder.</summary>
    Local,

    /// <summary>Redis, for all silos of the cluster.</summary>
    Redis,
}

/// <summary>The other silos, and where grain state lies.</summary>
internal sealed class ClusterSettings
{
    /// <summary>Where membership and grain state lie.</summary>
    public ClusterProvider Provider { get; set; }

    /// <summary>How to reach Redis, as StackExchange.Redis writes it: <c>host:6379,password=...</c>.</summary>
    public string ConnectionString { get; set; } = "";

    /// <summary>The cluster's id, the same in all its silos and clients. A gateway refuses a client with another one, so treat it as a secret.</summary>
    public string Id { get; set; } = "";

    /// <summary>What makes this silo a member, and whom it takes for one.</summary>
    public TlsSettings Tls { get; set; } = new();

    /// <exception cref="InvalidOperationException">A value makes no sense; the message names it.</exception>
    public void Check()
    {
        if (!Enum.IsDefined(Provider))
            throw new InvalidOperationException($"Cluster:Provider is {Provider}; it is Local or Redis.");
        Tls.Check();
        if (Provider == ClusterProvider.Local)
        {
            if (Tls.IsOn)
                throw new InvalidOperationException("Cluster:Tls is set, but Cluster:Provider is Local, whose gateway is on loopback; TLS is for Redis.");
            return;
        }

        if (Id.Length == 0)
            throw new InvalidOperationException("Cluster:Id is empty; it is the same in all silos and clients of the cluster, and nobody else's to know.");
        ToRedisOptions();
    }

    /// <summary>How to reach Redis. A silo outlives its absence, and calls meanwhile fail soon.</summary>
    /// <exception cref="InvalidOperationException">The connection string makes no sense.</exception>
    public ConfigurationOptions ToRedisOptions()
    {
        ConfigurationOptions options;
        try
        {
            options = ConfigurationOptions.Parse(ConnectionString);
        }
        catch (ArgumentException e)
        {
            // Not its text, which may hold a password.
            throw new InvalidOperationException($"Cluster:ConnectionString cannot be understood ({e.GetType().Name}); write host:6379,password=...");
        }

        if (options.EndPoints.Count == 0)
            throw new InvalidOperationException("Cluster:ConnectionString names no server; write host:6379,password=...");
        options.ClientName = "distmigrate";

        // Details are keys, and those of membership have the cluster's id in them.
        options.IncludeDetailInExceptions = false;
        options.AbortOnConnectFail = false;
        options.BacklogPolicy = BacklogPolicy.FailFast;
        return options;
    }
}

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
    [Setting("`Local`: this silo alone, its state in a file; `Redis`: one of several, see [several hosts](cluster.md)")]
    public ClusterProvider Provider { get; set; }

    [Setting("how to reach that Redis, as StackExchange.Redis writes it: `host:6379,password=...`; a secret", IsSecret = true)]
    public string ConnectionString { get; set; } = "";

    [Setting("the cluster's id, the same in all its silos and clients. A gateway refuses a client with another one, so it is a secret", IsSecret = true)]
    public string Id { get; set; } = "";

    /// <summary>What makes this silo a member, and whom it takes for one.</summary>
    public TlsSettings Tls { get; set; } = new();

    public void Check(SettingFaults faults)
    {
        if (!Enum.IsDefined(Provider))
            faults.Value("Cluster:Provider", Provider, "it is Local or Redis");
        Tls.Check(faults);
        if (faults.Has("Cluster:Provider"))
            return;
        if (Provider == ClusterProvider.Local)
        {
            if (Tls.IsOn)
                faults.Add("Cluster:Tls", "Cluster:Tls is set, but Cluster:Provider is Local, whose gateway is on loopback; TLS is for Redis");
            return;
        }

        if (Id.Length == 0)
            faults.Add("Cluster:Id", "Cluster:Id is empty; it is the same in all silos and clients of the cluster, and nobody else's to know");
        if (WhyNoConnection() is { } fault)
            faults.Add("Cluster:ConnectionString", fault);
    }

    /// <summary>How to reach Redis. A silo outlives its absence, and calls meanwhile fail soon.</summary>
    public ConfigurationOptions ToRedisOptions()
    {
        var options = ConfigurationOptions.Parse(ConnectionString);
        options.ClientName = "distmigrate";

        // Details are keys, and those of membership have the cluster's id in them.
        options.IncludeDetailInExceptions = false;
        options.AbortOnConnectFail = false;
        options.BacklogPolicy = BacklogPolicy.FailFast;
        return options;
    }

    private string? WhyNoConnection()
    {
        try
        {
            return ConfigurationOptions.Parse(ConnectionString).EndPoints.Count > 0
                ? null
                : "Cluster:ConnectionString names no server; write host:6379,password=...";
        }
        catch (ArgumentException e)
        {
            // Not its text, which may hold a password.
            return $"Cluster:ConnectionString cannot be understood ({e.GetType().Name}); write host:6379,password=...";
        }
    }
}

namespace DistMigrate.Silo;

/// <summary>The ports on which a silo listens: those of its settings, and free ones where these name none. Disposing lets others have those.</summary>
internal sealed class SiloPorts : IDisposable
{
    private readonly List<FreePort> _chosen = [];

    /// <exception cref="InvalidOperationException">No free port was found.</exception>
    public SiloPorts(SiloSettings settings)
    {
        Gateway = OrFree(settings.GatewayPort);
        Silo = OrFree(settings.SiloPort);
        Http = OrFree(settings.HttpPort);
    }

    /// <summary>Where clients connect.</summary>
    public int Gateway { get; }

    /// <summary>Where other silos connect.</summary>
    public int Silo { get; }

    /// <summary>Where the status page and the metrics are.</summary>
    public int Http { get; }

    public void Dispose() => _chosen.ForEach(port => port.Dispose());

    private int OrFree(int configured)
    {
        if (configured != 0)
            return configured;
        _chosen.Add(FreePort.Choose());
        return _chosen[^1].Number;
    }
}

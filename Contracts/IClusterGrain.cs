namespace DistMigrate.Contracts;

/// <summary>The cluster as one of its silos sees it. Its key says nothing; 0 will do.</summary>
[Alias("distmigrate.IClusterGrain")]
public interface IClusterGrain : IGrainWithIntegerKey
{
    /// <summary>The hosts whose silos are in the cluster, and those that the answering silo has seen go, by name.</summary>
    [Alias("GetHosts")]
    Task<IReadOnlyList<HostPresence>> GetHosts();
}

/// <summary>A host of the cluster.</summary>
/// <param name="Host">Its configured name.</param>
/// <param name="Address">Where its silo listens, or did.</param>
/// <param name="IsUp">Whether its silo is in the cluster.</param>
/// <param name="Since">Since when, as far as the answering silo has seen it.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.HostPresence")]
public sealed record HostPresence(
    [property: Id(0)] string Host,
    [property: Id(1)] string Address,
    [property: Id(2)] bool IsUp,
    [property: Id(3)] DateTimeOffset Since);

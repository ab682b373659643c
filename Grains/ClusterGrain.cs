using DistMigrate.Contracts;
using DistMigrate.Grains.Placement;
using Orleans.Concurrency;

namespace DistMigrate.Grains;

/// <inheritdoc cref="IClusterGrain"/>
[StatelessWorker(1), GrainType("distmigrate.cluster")]
internal sealed class ClusterGrain(ClusterView view) : Grain, IClusterGrain
{
    public Task<IReadOnlyList<HostPresence>> GetHosts() => Task.FromResult(view.Look());
}

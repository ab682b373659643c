using System.Globalization;
using DistMigrate.Contracts;
using Orleans.Runtime.MembershipService.SiloMetadata;
using Orleans.Runtime.Placement;

namespace DistMigrate.Grains.Placement;

/// <summary>Finds the silo of a host by the metadata that each silo publishes.</summary>
internal sealed class HostPinnedDirector(ISiloMetadataCache metadata, ClusterView view) : IPlacementDirector
{
    /// <summary>The metadata key that holds the host's name.</summary>
    public const string HostKey = "host";

    public Task<SiloAddress> OnAddActivation(PlacementStrategy strategy, PlacementTarget target, IPlacementContext context)
    {
        var host = GrainKeys.HostOf(target.GrainIdentity.Key.ToString()!);
        SiloAddress? found = null;
        foreach (var silo in context.GetCompatibleSilos(target))
        {
            if (metadata.GetSiloMetadata(silo).Metadata.GetValueOrDefault(HostKey) == host
                && (found is null || silo.Generation > found.Generation))
            {
                found = silo;
            }
        }

        return found is not null
            ? Task.FromResult(found)
            : throw new MigrationException(FailureReason.HostUnavailable,
                $"No silo of host {host} is in the cluster{Since(host)}. Start the silo there, or check the host's name.");
    }

    private string Since(string host) => view.Look().FirstOrDefault(known => known.Host == host) is { IsUp: false } gone
        ? string.Create(CultureInfo.InvariantCulture, $" since {gone.Since:yyyy-MM-dd HH:mm:ss} UTC")
        : "";
}

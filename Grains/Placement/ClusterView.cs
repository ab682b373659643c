using DistMigrate.Contracts;
using Microsoft.Extensions.Hosting;
using Orleans.Runtime.MembershipService.SiloMetadata;

namespace DistMigrate.Grains.Placement;

/// <summary>Which hosts have a silo in the cluster, and since when, as this silo sees it. Thread-safe.</summary>
internal sealed class ClusterView(IClusterMembershipService membership, ISiloMetadataCache metadata, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly SortedDictionary<string, (HostPresence Presence, SiloAddress Silo)> _hosts = new(StringComparer.Ordinal);

    /// <summary>Every host seen so far, by name.</summary>
    public IReadOnlyList<HostPresence> Look()
    {
        lock (_gate)
        {
            var alive = membership.CurrentSnapshot.Members.Values.Where(member => member.Status == SiloStatus.Active).Select(member => member.SiloAddress).ToHashSet();
            foreach (var (host, (presence, silo)) in _hosts.ToArray())
            {
                if (presence.IsUp && !alive.Contains(silo))
                    _hosts[host] = (presence with { IsUp = false, Since = time.GetUtcNow() }, silo);
            }

            // Of two silos of one host the later one counts, as in placement.
            foreach (var silo in alive.OrderBy(silo => silo.Generation))
            {
                if (metadata.GetSiloMetadata(silo).Metadata.GetValueOrDefault(HostPinnedDirector.HostKey) is { } host
                    && !(_hosts.TryGetValue(host, out var known) && known.Presence.IsUp && known.Silo.Generation >= silo.Generation))
                {
                    _hosts[host] = (new HostPresence(host, silo.Endpoint.ToString(), IsUp: true, time.GetUtcNow()), silo);
                }
            }

            return [.. _hosts.Values.Select(seen => seen.Presence)];
        }
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(FollowAsync(stoppingToken), LookOftenAsync(stoppingToken));

    /// <summary>So that the time since when a host is down is that at which this silo learned it.</summary>
    private async Task FollowAsync(CancellationToken stoppingToken)
    {
        await foreach (var _ in membership.MembershipUpdates.WithCancellation(stoppingToken))
            Look();
    }

    /// <summary>A new silo's host is told some time after its membership.</summary>
    private async Task LookOftenAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Every, time);
        while (await timer.WaitForNextTickAsync(stoppingToken))
            Look();
    }
}

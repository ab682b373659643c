using DistMigrate.Client.Connection;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary>The host that a guest to be moved, or planned about, runs on.</summary>
internal sealed class SourceHost(Invocation invocation, SiloConnection connection, ClientSettings settings)
{
    /// <summary>The host that was named; or else, of a move, the one that knows the guest, or the one that any other command would take.</summary>
    /// <param name="request">What is asked; of a move, its target is to be up.</param>
    /// <param name="named">The host that the operator named, or null.</param>
    /// <exception cref="CommandException">The target is away, or no host, or more than one, can be meant.</exception>
    public async Task<string> FindAsync(MigrationRequest request, string? named)
    {
        if (request.Move is { } move)
            CheckTarget(move.Target, await connection.CallAsync(grains => grains.GetGrain<IClusterGrain>(0).GetHosts(), invocation.Cancellation));
        return named ?? (request is { Move: not null, QmpPath: null }
            ? FindHost(request.Guest, await HostsCommand.AskAllAsync(connection, invocation.Cancellation))
            : CommonOptions.ChooseHost(null, connection, settings));
    }

    /// <summary>A move whose target is away waits for it for a while; one that is known to be away need not begin.</summary>
    /// <exception cref="CommandException">It is not in the cluster, or down.</exception>
    private static void CheckTarget(string target, IReadOnlyList<HostPresence> hosts)
    {
        var known = hosts.FirstOrDefault(host => host.Host == target);
        if (known is { IsUp: true })
            return;
        throw new CommandException(
            ExitCode.Unreachable,
            $"host {Printable.Of(target)} is {(known is null ? "not in the cluster" : "down")}; up are {NamesOf(hosts.Where(host => host.IsUp))}.", "'distmigrate hosts' shows them");
    }

    /// <summary>The host that knows the guest.</summary>
    /// <exception cref="CommandException">None does, or more than one.</exception>
    private static string FindHost(string guest, (HostPresence Presence, HostStatus? Status)[] hosts)
    {
        var found = hosts.Where(host => host.Status?.Guests.Contains(guest) == true).Select(host => host.Presence).ToList();
        if (found.Count == 1)
            return found[0].Host;
        if (found.Count > 1)
            throw CommandException.Usage($"several hosts know a guest {guest}: {NamesOf(found)}.", "name the one that it runs on by --from");
        var down = hosts.Where(host => host.Status is null).Select(host => host.Presence).ToList();
        throw new CommandException(
            ExitCode.NotFound,
            $"no host that is up knows a guest {guest}{(down.Count > 0 ? $", and down are {NamesOf(down)}" : "")}.",
            "'distmigrate hosts' shows the guests of each; for one that is not listed, name its host by --from and its monitor socket there by --qmp");
    }

    private static string NamesOf(IEnumerable<HostPresence> hosts) => string.Join(", ", hosts.Select(host => host.Host));
}

using System.CommandLine;
using DistMigrate.Client.Connection;
using DistMigrate.Client.Output;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate hosts</c>.</summary>
internal static class HostsCommand
{
    public static Command Create(CommandRunner runner)
    {
        var command = new Command("hosts", "List the hosts of the cluster: their silos, guests, places for migrations, memory and the free space of their storage.");
        runner.Attach(command, async invocation =>
        {
            await using var connection = await invocation.ConnectAsync();
            invocation.Terminal.Show(await AskAllAsync(connection, invocation.Cancellation), invocation.Time);
            return ExitCode.Ok;
        });
        return command;
    }

    /// <summary>The hosts of the cluster, by name, and what those that are up say of themselves.</summary>
    public static async Task<(HostPresence Presence, HostStatus? Status)[]> AskAllAsync(SiloConnection connection, CancellationToken cancellation)
    {
        var hosts = await connection.CallAsync(grains => grains.GetGrain<IClusterGrain>(0).GetHosts(), cancellation);
        return await Task.WhenAll(hosts.Select(host => AskAsync(connection, host, cancellation)));
    }

    /// <summary>A host that goes between the two calls is shown as one that is down.</summary>
    private static async Task<(HostPresence Presence, HostStatus? Status)> AskAsync(SiloConnection connection, HostPresence host, CancellationToken cancellation)
    {
        if (!host.IsUp)
            return (host, null);
        try
        {
            return (host, await connection.CallAsync(grains => grains.GetGrain<IHostGrain>(host.Host).GetStatus(), cancellation));
        }
        catch (MigrationException e) when (e.Reason == FailureReason.HostUnavailable)
        {
            return (host with { IsUp = false }, null);
        }
    }
}

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
        var command = new Command("hosts", "List the hosts of the cluster: their silos, guests, migrations and the free space of their storage.");
        runner.Attach(command, async invocation =>
        {
            await using var connection = await invocation.ConnectAsync();
            var hosts = await connection.CallAsync(grains => grains.GetGrain<IClusterGrain>(0).GetHosts(), invocation.Cancellation);
            var known = await Task.WhenAll(hosts.Select(host => AskAsync(connection, host, invocation.Cancellation)));
            invocation.Terminal.Show(known, invocation.Time);
            return ExitCode.Ok;
        });
        return command;
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

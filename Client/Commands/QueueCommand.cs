using System.CommandLine;
using DistMigrate.Client.Connection;
using DistMigrate.Client.Output;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate queue</c>.</summary>
internal static class QueueCommand
{
    public static Command Create(CommandRunner runner)
    {
        var host = new Option<string?>("--host")
        {
            Description = "Only this host, and the storage that its migrations use [default: all hosts]",
            HelpName = "HOST",
        };
        var command = new Command("queue", "Show which migrations run or wait, and for what: the places of each host, outgoing and incoming, and of each storage.") { host };
        runner.Attach(command, async invocation =>
        {
            await using var connection = await invocation.ConnectAsync();
            var hosts = await AskHostsAsync(invocation, connection, invocation.Get(host));
            var storages = await Task.WhenAll(StoragesOf(hosts).Select(path => connection.CallAsync(
                grains => grains.GetGrain<IStorageGrain>(path).GetStatus(), invocation.Cancellation)));
            invocation.Terminal.Show(hosts, storages, invocation.Time);
            if (hosts.All(status => status.Places.Count == 0))
                invocation.Terminal.Say("no migration runs or waits");
            return ExitCode.Ok;
        });
        return command;
    }

    /// <summary>A migration that has a place of a storage, or waits for one, has one of a host.</summary>
    internal static IReadOnlyList<string> StoragesOf(IEnumerable<HostStatus> hosts) =>
        [.. hosts.SelectMany(host => host.Places).Select(place => place.Storage).Where(path => path.Length > 0).Distinct().Order(StringComparer.Ordinal)];

    private static async Task<IReadOnlyList<HostStatus>> AskHostsAsync(Invocation invocation, SiloConnection connection, string? only)
    {
        if (only is not null)
            return [await connection.CallAsync(grains => grains.GetGrain<IHostGrain>(only).GetStatus(), invocation.Cancellation)];
        var hosts = await HostsCommand.AskAllAsync(connection, invocation.Cancellation);
        foreach (var (presence, _) in hosts.Where(host => host.Status is null))
            invocation.Terminal.Say($"host {presence.Host} is down; what waits there is not known");
        return [.. hosts.Select(host => host.Status).OfType<HostStatus>()];
    }
}

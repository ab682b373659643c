using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>Whatever goes wrong, neither the silos' log nor the command's output tells what would open the cluster to its reader.</summary>
public sealed class SecretsTests
{
    private const int Unreachable = 9;

    [RequiresQemuFact(LabNeeds.Redis)]
    public async Task The_clusters_id_and_the_password_of_Redis_are_never_told()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        var gateway = cluster.Hosts[0].Gateway;
        List<CommandResult> said =
        [
            (await cluster.RunAsync("list")).ExpectOk(),
            (await cluster.RunAsAsync(new() { ["DISTMIGRATE_GATEWAYS"] = gateway }, "list")).ExpectOk(),
            (await cluster.RunAsAsync(new() { ["DISTMIGRATE_GATEWAYS"] = gateway, ["DISTMIGRATE_CLUSTER_ID"] = "wrong" }, "list")).ExpectExit(Unreachable),
            (await cluster.RunAsAsync(new() { ["DISTMIGRATE_CLUSTER_ID"] = "wrong" }, "list")).ExpectExit(Unreachable),
            (await cluster.RunAsAsync(new() { ["DISTMIGRATE_CLUSTER"] = $"{cluster.Redis.ConnectionString}-wrong" }, "list")).ExpectExit(Unreachable),
        ];
        await cluster.Redis.HangAsync(TimeSpan.FromSeconds(30));
        said.Add((await cluster.RunAsync("list")).ExpectExit(Unreachable));
        await Wait.UntilAsync(
            () => cluster.Hosts.All(host => host.Log.Contains("RedisTimeoutException", StringComparison.Ordinal)), "every silo misses Redis", details: () => cluster.Log);
        await cluster.Redis.KillAsync();
        said.Add((await cluster.RunAsync("list")).ExpectExit(Unreachable));

        foreach (var text in said.Select(result => result.Output + result.ErrorOutput).Append(cluster.Log))
        {
            Assert.DoesNotContain(cluster.Id, text, StringComparison.Ordinal);
            Assert.DoesNotContain(cluster.Redis.Password, text, StringComparison.Ordinal);
        }
    }
}

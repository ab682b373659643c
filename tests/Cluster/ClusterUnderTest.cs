using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>
/// Three hosts as three silo processes on loopback, a Redis, a folder for images that all of them see, and the command, which knows the
/// Redis only. Disposing ends what it started.
/// </summary>
internal sealed class ClusterUnderTest : IAsyncDisposable
{
    private static readonly string[] Names = ["host-a", "host-b", "host-c"];
    private static readonly TimeSpan CommandLimit = TimeSpan.FromSeconds(90);

    private readonly string _folder = Directory.CreateTempSubdirectory("dm-cluster-").FullName;
    private readonly Dictionary<string, string> _settings;
    private readonly string _id = $"test-{Guid.NewGuid():n}";

    private ClusterUnderTest(RedisServer redis)
    {
        Redis = redis;
        Directory.CreateDirectory(Images);
        _settings = new Dictionary<string, string>
        {
            ["DISTMIGRATE_Cluster__Provider"] = "Redis",
            ["DISTMIGRATE_Cluster__ConnectionString"] = redis.ConnectionString,
            ["DISTMIGRATE_Cluster__Id"] = _id,
            ["DISTMIGRATE_Storage__Roots__0"] = Images,

            // Saves of small guests have several epochs.
            ["DISTMIGRATE_Limits__EpochTime"] = "00:00:01",
        };
        Hosts = [.. Names.Select(name => new ClusterHost(name, Path.Combine(_folder, name), _settings))];
    }

    public RedisServer Redis { get; }

    public IReadOnlyList<ClusterHost> Hosts { get; }

    public string Images => Path.Combine(_folder, "images");

    /// <summary>What all silos logged.</summary>
    public string Log => string.Join('\n', Hosts.Select(host => $"{host.Name}:\n{host.Log}"));

    /// <summary>Starts Redis and the silos, and waits until they are one cluster.</summary>
    public static async Task<ClusterUnderTest> StartAsync(bool isPersistent = true)
    {
        var cluster = new ClusterUnderTest(await RedisServer.StartAsync(isPersistent));
        try
        {
            await cluster.StartAllAsync();
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    public string Image(string name) => Path.Combine(Images, name);

    /// <summary>Runs a command as somebody who knows the cluster's Redis and id.</summary>
    public Task<CommandResult> RunAsync(params IReadOnlyList<string> arguments) => RunAsync(arguments, gateways: null);

    /// <summary>Pages written of a migration, asked for at a silo's own gateway, which takes no Redis.</summary>
    public async Task<long> NormalPagesByGatewayAsync(string id) =>
        (await RunAsync(["status", id, "--output", "json"], Hosts[0].Gateway)).ExpectOk().Json.GetProperty("ram").GetProperty("normal").GetInt64();

    private async Task<CommandResult> RunAsync(IReadOnlyList<string> arguments, string? gateways)
    {
        var start = Commands.Client(arguments);
        start.WorkingDirectory = Images;
        start.Environment["XDG_CONFIG_HOME"] = Path.Combine(_folder, "config");
        start.Environment["DISTMIGRATE_STATE"] = Path.Combine(_folder, "client");
        start.Environment[gateways is null ? "DISTMIGRATE_CLUSTER" : "DISTMIGRATE_GATEWAYS"] = gateways ?? Redis.ConnectionString;
        start.Environment["DISTMIGRATE_CLUSTER_ID"] = _id;
        using var process = Commands.Start(start);
        return await Commands.RunAsync(process, string.Join(' ', arguments), CommandLimit, () => Log);
    }

    /// <summary>Starts every silo, and waits until they are one cluster.</summary>
    public async Task StartAllAsync()
    {
        foreach (var host in Hosts)
            host.Start();
        foreach (var host in Hosts)
            await host.WaitUntilReadyAsync();
        await WaitForHostsAsync("up", "up", "up");
    }

    public async Task KillAllAsync()
    {
        foreach (var host in Hosts)
            await host.KillAsync();
    }

    /// <summary>Waits until the hosts are up or down, in the order of their names.</summary>
    public async Task WaitForHostsAsync(params string[] states)
    {
        var last = "";
        await Wait.UntilAsync(
            async () =>
            {
                var result = await RunAsync("hosts", "--output", "json");
                last = result.ToString();
                return result.ExitCode == 0
                    && result.Json.GetProperty("hosts").EnumerateArray().Select(host => host.GetProperty("state").GetString()).SequenceEqual(states);
            },
            $"the hosts are {string.Join(", ", states)}",
            details: () => $"{last}\n{Log}");
    }

    public async Task<string> SubmitSaveAsync(string host, QemuProcess guest, string image, string rate) =>
        (await RunAsync("save", "vm1", image, "--host", host, "--qmp", guest.QmpSocket, "--bwlimit", rate, "--detach")).ExpectOk().Output.Trim();

    public async Task<JsonElement> StatusAsync(string id) => (await RunAsync("status", id, "--output", "json")).ExpectOk().Json;

    /// <summary>Waits until a migration's status is as wanted; fails when it ends in another phase than completed.</summary>
    public async Task<JsonElement> WaitAsync(string id, Func<JsonElement, bool> condition, string what)
    {
        JsonElement status = default;
        await Wait.UntilAsync(
            async () =>
            {
                status = await StatusAsync(id);
                if (status.GetProperty("phase").GetString() is "failed" or "cancelled")
                    Assert.Fail($"{id} has ended: {status}\n{Log}");
                return condition(status);
            },
            what,
            TimeSpan.FromSeconds(120),
            () => $"{status}\n{Log}");
        return status;
    }

    public Task WaitUntilCopyingAsync(string id) => WaitAsync(
        id, status => status.GetProperty("ram").GetProperty("normal").GetInt64() > 0 && status.GetProperty("phase").GetString() == "active", $"{id} copies");

    /// <summary>Waits until a save has been taken up again: its coordinator's token is then in the journal.</summary>
    public Task WaitUntilTakenUpAsync(string id) => WaitAsync(
        id, status => status.GetProperty("ram").GetProperty("dirty-sync-count").GetInt64() > 1, $"{id} is taken up again");

    /// <summary>The save completes, its image is whole, and a stock QEMU loads it.</summary>
    public async Task CompleteAsync(string id, string image)
    {
        await WaitAsync(id, status => status.GetProperty("phase").GetString() == "completed", $"{id} is completed");
        var verified = (await RunAsync("verify", image, "--deep", "--output", "json")).ExpectOk().Json.GetProperty("pages");
        Assert.Equal(0, verified.GetProperty("wrong").GetInt64());
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var host in Hosts)
            await host.DisposeAsync();
        await Redis.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}

using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>
/// Three hosts as three silo processes, on loopback or each in a network namespace, a Redis, a folder for images that all of them see, and
/// the command, which knows the Redis only. Disposing ends what it started.
/// </summary>
internal sealed class ClusterUnderTest : IAsyncDisposable
{
    private static readonly string[] Names = ["host-a", "host-b", "host-c"];
    private static readonly TimeSpan CommandLimit = TimeSpan.FromSeconds(90);

    /// <summary>Where Redis and the command are.</summary>
    private const string Center = "center";

    private readonly Belongings _belongings;
    private readonly LabNetwork? _network;
    private readonly Dictionary<string, string> _settings;
    private readonly Dictionary<string, string> _clientTls = [];

    private ClusterUnderTest(
        Belongings belongings, LabNetwork? network, RedisServer redis, TestAuthority? tls, IReadOnlyDictionary<string, string> settings)
    {
        if (tls is not null)
            _clientTls = ClientTls(tls, tls.Issue("client", isSilo: false));
        _belongings = belongings;
        _network = network;
        Redis = redis;
        Images = belongings.MakeFolder("images");
        _settings = new Dictionary<string, string>
        {
            ["DISTMIGRATE_Cluster__Provider"] = "Redis",
            ["DISTMIGRATE_Cluster__ConnectionString"] = redis.ConnectionString,
            ["DISTMIGRATE_Cluster__Id"] = Id,
            ["DISTMIGRATE_Storage__Roots__0"] = Images,
            ["DISTMIGRATE_Launch__MemoryFolder"] = belongings.MakeMemoryFolder(),

            // Saves of small guests have several epochs.
            ["DISTMIGRATE_Limits__EpochTime"] = "00:00:01",
        };
        foreach (var (name, value) in settings)
            _settings[name] = value;
        Hosts = [.. Names.Select(name => Add(name, tls is null ? [] : SiloTls(tls, name)))];
    }

    public RedisServer Redis { get; }

    public IReadOnlyList<ClusterHost> Hosts { get; }

    /// <summary>The cluster's id, which is a secret.</summary>
    public string Id { get; } = $"test-{Guid.NewGuid():n}";

    public string Images { get; }

    /// <summary>What connects the hosts; only in a cluster that was started with one.</summary>
    public LabNetwork Network => _network ?? throw new InvalidOperationException("The hosts are on loopback.");

    /// <summary>What all silos logged.</summary>
    public string Log => string.Join('\n', Hosts.Select(host => $"{host.Name}:\n{host.Log}"));

    /// <summary>Starts Redis and the silos, and waits until they are one cluster.</summary>
    /// <param name="isPersistent">Whether Redis keeps what it is told.</param>
    /// <param name="network">Whether each host is in a network namespace of its own, which takes <see cref="LabNeeds.Namespaces"/>.</param>
    /// <param name="tls">Who issues the certificates of silos and command; null for none.</param>
    /// <param name="settings">Further settings of all silos, as variables of their environment.</param>
    public static async Task<ClusterUnderTest> StartAsync(
        bool isPersistent = true, bool network = false, TestAuthority? tls = null, IReadOnlyDictionary<string, string>? settings = null)
    {
        var belongings = Belongings.Create();
        ClusterUnderTest cluster;
        try
        {
            var connection = network ? await LabNetwork.MakeAsync(belongings, [Center, .. Names]) : null;
            var redis = await RedisServer.StartAsync(belongings, isPersistent, connection?[Center]);
            cluster = new ClusterUnderTest(belongings, connection, redis, tls, settings ?? new Dictionary<string, string>());
        }
        catch
        {
            belongings.Dispose();
            throw;
        }

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

    /// <summary>The settings of a silo with a certificate of an authority.</summary>
    public static Dictionary<string, string> SiloTls(TestAuthority authority, string name)
    {
        var (certificate, key) = authority.Issue(name, isSilo: true);
        return new()
        {
            ["DISTMIGRATE_Cluster__Tls__Certificate"] = certificate,
            ["DISTMIGRATE_Cluster__Tls__Key"] = key,
            ["DISTMIGRATE_Cluster__Tls__Authority"] = authority.CertificateFile,
        };
    }

    /// <summary>The settings of a command with a certificate.</summary>
    public static Dictionary<string, string> ClientTls(TestAuthority authority, (string Certificate, string Key) own) => new()
    {
        ["DISTMIGRATE_TLS_CERTIFICATE"] = own.Certificate,
        ["DISTMIGRATE_TLS_KEY"] = own.Key,
        ["DISTMIGRATE_TLS_AUTHORITY"] = authority.CertificateFile,
    };

    /// <summary>A further host, whose silo the caller starts and disposes.</summary>
    public ClusterHost Add(string name, Dictionary<string, string> settings) => new(
        name, _belongings.At(name), new Dictionary<string, string>(_settings.Where(setting => !settings.ContainsKey(setting.Key)).Concat(settings)), _belongings, Names.Contains(name) ? _network?[name] : null);

    /// <summary>Another silo of a host, which may be started beside its own.</summary>
    /// <param name="host">The host.</param>
    /// <param name="folder">The name of a state folder of its own; null for the host's.</param>
    /// <param name="mount">What it sees in the place of a folder of the machine.</param>
    public ClusterHost Replacement(ClusterHost host, string? folder = null, PrivateMount? mount = null) =>
        host.Replacement(_belongings.At(folder ?? host.Name), mount);

    /// <summary>A mount namespace in which a folder of the machine is empty.</summary>
    public Task<PrivateMount> PrivateMountAsync(string folder, string? other = null) => PrivateMount.MakeAsync(_belongings, folder, other);

    public string Image(string name) => Path.Combine(Images, name);

    /// <summary>Runs a command as somebody who knows the cluster's Redis and id.</summary>
    public Task<CommandResult> RunAsync(params IReadOnlyList<string> arguments) => RunAsync(arguments, gateways: null, _clientTls);

    /// <summary>The same as somebody who sets variables of his own, and shows no certificate unless they name one.</summary>
    public Task<CommandResult> RunAsAsync(Dictionary<string, string> variables, params IReadOnlyList<string> arguments) =>
        RunAsync(arguments, gateways: null, variables);

    /// <summary>Pages written of a migration, asked for at a silo's own gateway, which takes no Redis.</summary>
    public async Task<long> NormalPagesByGatewayAsync(string id) =>
        (await RunAsync(["status", id, "--output", "json"], Hosts[0].Gateway, _clientTls)).ExpectOk().Json.GetProperty("ram").GetProperty("normal").GetInt64();

    /// <summary>Runs a command at a silo's own gateway, which takes no Redis.</summary>
    public Task<CommandResult> RunAtAsync(ClusterHost host, params IReadOnlyList<string> arguments) => RunAsync(arguments, host.Gateway, _clientTls);

    private async Task<CommandResult> RunAsync(IReadOnlyList<string> arguments, string? gateways, Dictionary<string, string> variables)
    {
        var start = Commands.Client(arguments);
        start.WorkingDirectory = Images;
        start.Environment["XDG_CONFIG_HOME"] = _belongings.At("config");
        start.Environment["DISTMIGRATE_STATE"] = _belongings.At("client");
        start.Environment[gateways is null ? "DISTMIGRATE_CLUSTER" : "DISTMIGRATE_GATEWAYS"] = gateways ?? Redis.ConnectionString;
        start.Environment["DISTMIGRATE_CLUSTER_ID"] = Id;
        foreach (var (name, value) in variables)
            start.Environment[name] = value;
        _network?[Center].Take(start);
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
                // Asked where a silo answers: one that hangs may still count as alive, and the command would wait for it.
                if (Hosts.Where((host, i) => states[i] == "up" && host.IsReady).FirstOrDefault() is not { } ready)
                    return false;
                if (_network is null && await StatusPageReader.TryReadHostsAsync(ready.Page) is { } known && !known.SequenceEqual(states))
                    return false;
                var result = await RunAsync(["hosts", "--output", "json"], ready.Gateway, _clientTls);
                last = result.ToString();
                return result.ExitCode == 0
                    && result.Json.GetProperty("hosts").EnumerateArray().Select(host => host.GetProperty("state").GetString()).SequenceEqual(states);
            },
            $"the hosts are {string.Join(", ", states)}",
            details: () => $"{last}\n{Log}",
            step: StatusPageReader.Step);
    }

    public async Task<string> SubmitSaveAsync(string host, QemuProcess guest, string image, string rate) =>
        (await RunAsync("save", "vm1", image, "--host", host, "--qmp", guest.QmpSocket, "--bwlimit", rate, "--detach")).ExpectOk().Output.Trim();

    /// <summary>Starts a guest, and waits until it checks its memory.</summary>
    public static async Task<QemuProcess> StartGuestAsync(params IReadOnlyList<string> extraArguments)
    {
        var guest = await QemuProcess.StartAsync(new GuestRecipe { MiB = 24, ExtraArguments = extraArguments });
        await guest.WaitUntilReadyAsync();
        return guest;
    }

    public async Task<JsonElement> StatusAsync(string id) => (await RunAsync("status", id, "--output", "json")).ExpectOk().Json;

    /// <summary>Since when a host is up or down, as another one knows it.</summary>
    public async Task<DateTimeOffset> SinceAsync(ClusterHost host, ClusterHost other) =>
        (await RunAsync(["hosts", "--output", "json"], other.Gateway, _clientTls)).ExpectOk().Json.GetProperty("hosts").EnumerateArray()
            .First(entry => entry.GetProperty("host").GetString() == host.Name).GetProperty("since").GetDateTimeOffset();

    /// <summary>Waits until a migration's status is as wanted; fails when it ends in another phase than completed.</summary>
    public async Task<JsonElement> WaitAsync(string id, Func<JsonElement, bool> condition, string what)
    {
        var status = await StatusPageReader.WaitAsync(
            () => TryReadPageAsync(id), () => StatusAsync(id), status => HasEndedBadly(status) || condition(status), what, TimeSpan.FromSeconds(120), () => Log);
        if (HasEndedBadly(status))
            Assert.Fail($"{id} has ended: {status}\n{Log}");
        return status;

        static bool HasEndedBadly(JsonElement status) => status.GetProperty("phase").GetString() is "failed" or "cancelled";
    }

    /// <summary>What the page of the first silo that answers has of a migration; null in network namespaces, out of which no page is seen.</summary>
    public async Task<JsonElement?> TryReadPageAsync(string id)
    {
        foreach (var host in _network is null ? Hosts.Where(host => host is { IsReady: true, IsRunning: true }) : [])
        {
            if (await StatusPageReader.TryReadAsync(host.Page, id) is { } page)
                return page;
        }

        return null;
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
        await Task.Run(_belongings.Dispose);
    }
}

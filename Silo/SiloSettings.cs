using System.Net;
using DistMigrate.Grains;
using HostOptions = DistMigrate.Grains.HostOptions;

namespace DistMigrate.Silo;

/// <summary>The silo's configuration: JSON file, then environment (<see cref="SiloEnvironment"/>).</summary>
internal sealed class SiloSettings
{
    [Setting("grains are placed by it; keep it stable", Default = "the machine's name")]
    public string Host { get; set; } = Environment.MachineName;

    [Setting("the IP address where gateway and silo port listen: nothing is open to the network until somebody says so")]
    public string Address { get; set; } = "127.0.0.1";

    [Setting("for clients; a fixed one for a service, 0 takes a free one", Default = "a free port")]
    public int GatewayPort { get; set; }

    [Setting("for other silos; a fixed one for a firewall, 0 takes a free one", Default = "a free port")]
    public int SiloPort { get; set; }

    [Setting(
        "the IP address where [the status page](operations.md#the-status-page), `/metrics` and `/healthz` listen, which ask for no password; `0.0.0.0` for a Prometheus elsewhere")]
    public string HttpAddress { get; set; } = "127.0.0.1";

    [Setting("for the status page, `/metrics` and `/healthz`; a fixed one for a Prometheus, 0 takes a free one", Default = "a free port")]
    public int HttpPort { get; set; }

    /// <summary>The other silos, and where grain state lies.</summary>
    public ClusterSettings Cluster { get; set; } = new();

    /// <summary>Where images may lie.</summary>
    public StorageSettings Storage { get; set; } = new();

    [Setting("monitor socket of a guest, so that `save NAME IMAGE` needs no `--qmp`")]
    public Dictionary<string, string> Guests { get; set; } = [];

    [Setting(
        "folder of monitor sockets: `NAME.qmp` is the monitor of guest NAME, known as long as the file is there; `Guests:NAME` wins over it. " +
        "Launched guests get theirs there, so two silos of one machine need two folders",
        Default = "`guests` in the runtime folder")]
    public string GuestFolder { get; set; } = Path.Combine(RuntimeFolder.Path, "guests");

    /// <summary>How guests are launched here.</summary>
    public LaunchSettings Launch { get; set; } = new();

    /// <summary>Guests that are launched here from a definition instead of their source's arguments, by name.</summary>
    public Dictionary<string, DefinitionSettings> Definitions { get; set; } = [];

    /// <summary>Limits of this host.</summary>
    public LimitSettings Limits { get; set; } = new();

    /// <summary>Its log.</summary>
    public LogSettings Log { get; set; } = new();

    /// <summary>Where traces go.</summary>
    public OtlpSettings Otlp { get; set; } = new();

    [Setting("when a silo in the background ends with nothing to do")]
    public TimeSpan IdleExit { get; set; } = TimeSpan.FromMinutes(10);

    public HostOptions ToHostOptions(string stateFolder) => new()
    {
        Name = Host,
        StateFolder = stateFolder,
        RuntimeFolder = RuntimeFolder.Path,
        StorageRoots = Storage.Roots.Length > 0 ? Storage.Roots : StorageSettings.DefaultRoots(),
        AreStorageRootsChosen = Storage.Roots.Length > 0,
        Guests = Guests,
        GuestFolder = GuestFolder,
        LaunchProgram = Launch.Program,
        MemoryFolder = Launch.MemoryFolder,
        Definitions = Definitions.ToDictionary(pair => pair.Key, IReadOnlyList<string> (pair) => pair.Value.Arguments, StringComparer.Ordinal),
        MaxOutgoing = Limits.MaxOutgoing,
        MaxIncoming = Limits.MaxIncoming,
        MaxPerStorage = Limits.MaxPerStorage,
        Writers = Limits.Writers,
        Streams = Limits.Streams,
        ExtentBytes = Limits.ExtentBytes,
        MaxDowntime = Limits.MaxDowntime,
        StallTimeout = Limits.StallTimeout,
        TargetPatience = Limits.TargetPatience,
        CommandPatience = Limits.CommandPatience,
        EpochBytes = Limits.EpochBytes,
        EpochTime = Limits.EpochTime,
    };

    /// <summary>Tells everything that makes no sense.</summary>
    public void Check(SettingFaults faults)
    {
        if (!GrainKeys.IsName(Host))
            faults.Value(nameof(Host), Host, GrainKeys.NameRule);
        CheckAddress(faults, nameof(Address), Address);
        CheckAddress(faults, nameof(HttpAddress), HttpAddress);
        CheckPort(faults, nameof(GatewayPort), GatewayPort);
        CheckPort(faults, nameof(SiloPort), SiloPort);
        CheckPort(faults, nameof(HttpPort), HttpPort);
        Cluster.Check(faults);
        Storage.Check(faults);
        foreach (var (guest, monitor) in Guests)
        {
            if (!GrainKeys.IsName(guest))
                faults.Add($"Guests:{guest}", $"Guests:{guest} is of no guest name; {GrainKeys.NameRule}");
            else if (!Path.IsPathFullyQualified(monitor))
                faults.Value($"Guests:{guest}", monitor, "it is the absolute path of a monitor socket");
        }

        if (!Path.IsPathFullyQualified(GuestFolder))
            faults.Value(nameof(GuestFolder), GuestFolder, "it is an absolute path");
        Launch.Check(faults);
        foreach (var (guest, definition) in Definitions)
            definition.Check(guest, faults);
        Limits.Check(faults);
        Otlp.Check(faults);
        if (IdleExit <= TimeSpan.Zero)
            faults.Value(nameof(IdleExit), IdleExit, "it is longer than nothing, such as 00:10:00");
    }

    private static void CheckAddress(SettingFaults faults, string name, string address)
    {
        if (!IPAddress.TryParse(address, out _))
            faults.Value(name, address, "it is an IP address, such as 127.0.0.1");
    }

    private static void CheckPort(SettingFaults faults, string name, int port)
    {
        if (port is < 0 or > 65535)
            faults.Value(name, port, "it is 1 to 65535, or 0 for a free one");
    }
}

using System.Net;
using DistMigrate.Grains;
using DistMigrate.Transfer;
using HostOptions = DistMigrate.Grains.HostOptions;

namespace DistMigrate.Silo;

/// <summary>The silo's configuration: JSON file, then environment (<see cref="SiloEnvironment"/>).</summary>
internal sealed class SiloSettings
{
    /// <summary>The host's name in the cluster.</summary>
    /// <value>The machine's name by default.</value>
    public string Host { get; set; } = Environment.MachineName;

    /// <summary>Address that the gateway and the silo port listen on.</summary>
    /// <value>127.0.0.1 by default: nothing is open to the network until somebody says so.</value>
    public string Address { get; set; } = "127.0.0.1";

    /// <summary>Port for clients; 0 takes a free one.</summary>
    public int GatewayPort { get; set; }

    /// <summary>Port for other silos; 0 takes a free one.</summary>
    public int SiloPort { get; set; }

    /// <summary>Address that the status page, /metrics and /healthz listen on, which ask for no password.</summary>
    /// <value>127.0.0.1 by default, whatever <see cref="Address"/> is.</value>
    public string HttpAddress { get; set; } = "127.0.0.1";

    /// <summary>Port of the status page, /metrics and /healthz; 0 takes a free one.</summary>
    public int HttpPort { get; set; }

    /// <summary>The other silos, and where grain state lies.</summary>
    public ClusterSettings Cluster { get; set; } = new();

    /// <summary>Where images may lie.</summary>
    public StorageSettings Storage { get; set; } = new();

    /// <summary>Guests by name with the path of their monitor socket.</summary>
    public Dictionary<string, string> Guests { get; set; } = [];

    /// <summary>A folder of monitor sockets, each <c>NAME.qmp</c> that of guest NAME.</summary>
    public string GuestFolder { get; set; } = Path.Combine(RuntimeFolder.Path, "guests");

    /// <summary>How guests are launched here.</summary>
    public LaunchSettings Launch { get; set; } = new();

    /// <summary>Guests that are launched here from a definition instead of their source's arguments, by name.</summary>
    public Dictionary<string, DefinitionSettings> Definitions { get; set; } = [];

    /// <summary>Limits of this host.</summary>
    public LimitSettings Limits { get; set; } = new();

    /// <summary>How long a silo in the background stays with nothing to do.</summary>
    public TimeSpan IdleExit { get; set; } = TimeSpan.FromMinutes(10);

    public HostOptions ToHostOptions(string stateFolder) => new()
    {
        Name = Host,
        StateFolder = stateFolder,
        RuntimeFolder = RuntimeFolder.Path,
        StorageRoots = Storage.Roots.Length > 0 ? Storage.Roots : StorageSettings.DefaultRoots(),
        Guests = Guests,
        GuestFolder = GuestFolder,
        LaunchProgram = Launch.Program,
        MemoryFolder = Launch.MemoryFolder,
        Definitions = Definitions.ToDictionary(pair => pair.Key, IReadOnlyList<string> (pair) => pair.Value.Arguments, StringComparer.Ordinal),
        MaxOutgoing = Limits.MaxOutgoing,
        MaxIncoming = Limits.MaxIncoming,
        MaxPerStorage = Limits.MaxPerStorage,
        Writers = Limits.Writers,
        ExtentBytes = Limits.ExtentBytes,
        MaxDowntime = Limits.MaxDowntime,
        StallTimeout = Limits.StallTimeout,
        TargetPatience = Limits.TargetPatience,
        CommandPatience = Limits.CommandPatience,
        EpochBytes = Limits.EpochBytes,
        EpochTime = Limits.EpochTime,
    };

    /// <exception cref="InvalidOperationException">A value makes no sense; the message names it.</exception>
    public void Check()
    {
        if (!GrainKeys.IsName(Host))
            throw new InvalidOperationException($"Host is '{Host}'; {GrainKeys.NameRule}");
        if (!IPAddress.TryParse(Address, out _))
            throw new InvalidOperationException($"Address is '{Address}'; it is an IP address, such as 127.0.0.1.");
        if (!IPAddress.TryParse(HttpAddress, out _))
            throw new InvalidOperationException($"HttpAddress is '{HttpAddress}'; it is an IP address, such as 127.0.0.1.");
        Cluster.Check();
        CheckPort(nameof(GatewayPort), GatewayPort);
        CheckPort(nameof(SiloPort), SiloPort);
        CheckPort(nameof(HttpPort), HttpPort);
        if (IdleExit <= TimeSpan.Zero)
            throw new InvalidOperationException($"IdleExit is {IdleExit}; it is longer than nothing, such as 00:10:00.");
        if (Array.Find(Storage.Roots, root => !Path.IsPathFullyQualified(root)) is { } relative)
            throw new InvalidOperationException($"Storage:Roots has '{relative}'; a root is an absolute path.");
        if (!Path.IsPathFullyQualified(GuestFolder))
            throw new InvalidOperationException($"GuestFolder is '{GuestFolder}'; it is an absolute path.");
        Launch.Check();
        foreach (var (guest, definition) in Definitions)
            definition.Check(guest);
        CheckCount(nameof(Limits.MaxOutgoing), Limits.MaxOutgoing);
        CheckCount(nameof(Limits.MaxIncoming), Limits.MaxIncoming);
        CheckCount(nameof(Limits.MaxPerStorage), Limits.MaxPerStorage, most: 1024);
        CheckCount(nameof(Limits.Writers), Limits.Writers);
        if (Limits.ExtentBytes is < 4096 or > 8 << 20 || Limits.ExtentBytes % 4096 != 0)
            throw new InvalidOperationException($"Limits:ExtentBytes is {Limits.ExtentBytes}; it is a multiple of 4096 from 4096 to 8388608.");
        CheckTime(nameof(Limits.MaxDowntime), Limits.MaxDowntime);
        CheckTime(nameof(Limits.StallTimeout), Limits.StallTimeout);
        CheckTime(nameof(Limits.TargetPatience), Limits.TargetPatience);
        CheckTime(nameof(Limits.CommandPatience), Limits.CommandPatience);
        CheckTime(nameof(Limits.EpochTime), Limits.EpochTime);
        if (Limits.EpochBytes < 1 << 20)
            throw new InvalidOperationException($"Limits:EpochBytes is {Limits.EpochBytes}; it is at least 1048576.");
    }

    private static void CheckCount(string name, int value, int most = 64)
    {
        if (value < 1 || value > most)
            throw new InvalidOperationException($"Limits:{name} is {value}; it is 1 to {most}.");
    }

    private static void CheckTime(string name, TimeSpan value)
    {
        if (value < TimeSpan.FromMilliseconds(100) || value > TimeSpan.FromHours(1))
            throw new InvalidOperationException($"Limits:{name} is {value}; it is 00:00:00.1 to 01:00:00.");
    }

    private static void CheckPort(string name, int port)
    {
        if (port is < 0 or > 65535)
            throw new InvalidOperationException($"{name} is {port}; it is 1 to 65535, or 0 for a free one.");
    }
}

/// <summary>Where images may lie.</summary>
internal sealed class StorageSettings
{
    /// <summary>Folders below which images may lie.</summary>
    /// <value>By default the user's home, the temporary folder, /mnt, /srv and /var/lib/distmigrate.</value>
    public string[] Roots { get; set; } = [];

    public static string[] DefaultRoots() =>
    [
        Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), Path.GetTempPath(), "/mnt", "/srv", "/var/lib/distmigrate",
    ];
}

/// <summary>Limits of a host.</summary>
internal sealed class LimitSettings
{
    /// <summary>Saves, and moves from here, that run at the same time.</summary>
    public int MaxOutgoing { get; set; } = 2;

    /// <summary>Restores, and moves to here, that run at the same time.</summary>
    public int MaxIncoming { get; set; } = 2;

    /// <summary>Migrations of the cluster that use one storage root at the same time; the same in every silo.</summary>
    public int MaxPerStorage { get; set; } = 4;

    /// <summary>Writer threads of a save that does not ask for a number.</summary>
    public int Writers { get; set; } = WriterOptions.DefaultWriters;

    /// <summary>Bytes that one write covers at most.</summary>
    public int ExtentBytes { get; set; } = 1 << 20;

    /// <summary>How long a fault of the storage may keep a guest stopped while calls are tried again.</summary>
    public TimeSpan MaxDowntime { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long calls to the storage may not return before a save whose guest is not kept stopped by it is paused.</summary>
    public TimeSpan StallTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>How long no coordinator may be heard while a guest is kept stopped for a save; then the guest gets its run state back.</summary>
    public TimeSpan CommandPatience { get; set; } = TimeSpan.FromSeconds(15);

    /// <summary>How long the target of a move may not answer before the guest is given back to its source.</summary>
    public TimeSpan TargetPatience { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>Bytes written after which an fsync epoch closes.</summary>
    public long EpochBytes { get; set; } = 1L << 30;

    /// <summary>Time after which an fsync epoch closes.</summary>
    public TimeSpan EpochTime { get; set; } = TimeSpan.FromSeconds(5);
}

/// <summary>How guests are launched.</summary>
internal sealed class LaunchSettings
{
    /// <summary>The QEMU program: an absolute path, or a name that is looked up on PATH.</summary>
    /// <value>Empty by default: that of the source or definition.</value>
    public string Program { get; set; } = "";

    /// <summary>Where files of guest RAM are made.</summary>
    public string MemoryFolder { get; set; } = "/dev/shm";

    /// <exception cref="InvalidOperationException">A value makes no sense; the message names it.</exception>
    public void Check()
    {
        if (!Path.IsPathFullyQualified(MemoryFolder))
            throw new InvalidOperationException($"Launch:MemoryFolder is '{MemoryFolder}'; it is an absolute path.");
        if (Program.Contains('/', StringComparison.Ordinal) && !Path.IsPathFullyQualified(Program))
            throw new InvalidOperationException($"Launch:Program is '{Program}'; it is an absolute path, or a name without slashes.");
    }
}

/// <summary>How one guest is launched.</summary>
internal sealed class DefinitionSettings
{
    /// <summary>QEMU's arguments; the first one is the program unless it begins with a dash.</summary>
    public string[] Arguments { get; set; } = [];

    /// <exception cref="InvalidOperationException">It makes no sense; the message names it.</exception>
    public void Check(string guest)
    {
        if (!GrainKeys.IsName(guest))
            throw new InvalidOperationException($"Definitions:{guest}:Arguments is of no guest name; {GrainKeys.NameRule}");
        if (Arguments.Length == 0)
            throw new InvalidOperationException($"Definitions:{guest}:Arguments is empty; it is QEMU's argument list, one argument an entry.");
    }
}

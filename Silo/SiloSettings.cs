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

    /// <summary>Address that the gateway, the silo port and the web endpoint listen on.</summary>
    /// <value>127.0.0.1 by default: nothing is open to the network until somebody says so.</value>
    public string Address { get; set; } = "127.0.0.1";

    /// <summary>Port for clients; 0 takes a free one.</summary>
    public int GatewayPort { get; set; }

    /// <summary>Port for other silos; 0 takes a free one.</summary>
    public int SiloPort { get; set; }

    /// <summary>Port of /metrics and /healthz; 0 takes a free one.</summary>
    public int HttpPort { get; set; }

    /// <summary>The other silos, and where grain state lies.</summary>
    public ClusterSettings Cluster { get; set; } = new();

    /// <summary>Where images may lie.</summary>
    public StorageSettings Storage { get; set; } = new();

    /// <summary>Guests by name with the path of their monitor socket.</summary>
    public Dictionary<string, string> Guests { get; set; } = [];

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
        MaxRunning = Limits.MaxRunning,
        Writers = Limits.Writers,
        ExtentBytes = Limits.ExtentBytes,
        MaxDowntime = Limits.MaxDowntime,
        StallTimeout = Limits.StallTimeout,
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
        Cluster.Check();
        CheckPort(nameof(GatewayPort), GatewayPort);
        CheckPort(nameof(SiloPort), SiloPort);
        CheckPort(nameof(HttpPort), HttpPort);
        if (IdleExit <= TimeSpan.Zero)
            throw new InvalidOperationException($"IdleExit is {IdleExit}; it is longer than nothing, such as 00:10:00.");
        if (Array.Find(Storage.Roots, root => !Path.IsPathFullyQualified(root)) is { } relative)
            throw new InvalidOperationException($"Storage:Roots has '{relative}'; a root is an absolute path.");
        if (Limits.MaxRunning is < 1 or > 64)
            throw new InvalidOperationException($"Limits:MaxRunning is {Limits.MaxRunning}; it is 1 to 64.");
        if (Limits.Writers is < 1 or > 64)
            throw new InvalidOperationException($"Limits:Writers is {Limits.Writers}; it is 1 to 64.");
        if (Limits.ExtentBytes is < 4096 or > 8 << 20 || Limits.ExtentBytes % 4096 != 0)
            throw new InvalidOperationException($"Limits:ExtentBytes is {Limits.ExtentBytes}; it is a multiple of 4096 from 4096 to 8388608.");
        CheckTime(nameof(Limits.MaxDowntime), Limits.MaxDowntime);
        CheckTime(nameof(Limits.StallTimeout), Limits.StallTimeout);
        CheckTime(nameof(Limits.EpochTime), Limits.EpochTime);
        if (Limits.EpochBytes < 1 << 20)
            throw new InvalidOperationException($"Limits:EpochBytes is {Limits.EpochBytes}; it is at least 1048576.");
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
    /// <summary>Migrations that run at the same time.</summary>
    public int MaxRunning { get; set; } = 2;

    /// <summary>Writer threads of a save that does not ask for a number.</summary>
    public int Writers { get; set; } = WriterOptions.DefaultWriters;

    /// <summary>Bytes that one write covers at most.</summary>
    public int ExtentBytes { get; set; } = 1 << 20;

    /// <summary>How long a fault of the storage may keep a guest stopped while calls are tried again.</summary>
    public TimeSpan MaxDowntime { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long calls to the storage may not return before a save whose guest is not kept stopped by it is paused.</summary>
    public TimeSpan StallTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Bytes written after which an fsync epoch closes.</summary>
    public long EpochBytes { get; set; } = 1L << 30;

    /// <summary>Time after which an fsync epoch closes.</summary>
    public TimeSpan EpochTime { get; set; } = TimeSpan.FromSeconds(5);
}

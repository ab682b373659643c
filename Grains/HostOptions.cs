using DistMigrate.Transfer;

namespace DistMigrate.Grains;

/// <summary>What a silo is told about its host.</summary>
public sealed class HostOptions
{
    /// <summary>The host's name, by which its grains are placed; stable over restarts.</summary>
    /// <value>The machine's name by default.</value>
    public string Name { get; set; } = Environment.MachineName;

    /// <summary>A folder on the host's local disk for stop records and grain state.</summary>
    /// <value>Given by the silo's command line.</value>
    public string StateFolder { get; set; } = "";

    /// <summary>The folder for locks that all silos of the machine share.</summary>
    /// <value><c>/run/distmigrate</c> for root, else a folder of the user's; two silos with different ones would not exclude each other.</value>
    public string RuntimeFolder { get; set; } = "";

    /// <summary>Folders below which images may lie.</summary>
    public IReadOnlyList<string> StorageRoots { get; set; } = [];

    /// <summary>Guests by name, with the path of their monitor socket.</summary>
    public IReadOnlyDictionary<string, string> Guests { get; set; } = new Dictionary<string, string>();

    /// <summary>A folder of monitor sockets, each <c>NAME.qmp</c> that of guest NAME; guests launched here get theirs there.</summary>
    /// <value><c>guests</c> in the runtime folder by default. Two silos of one machine need two.</value>
    public string GuestFolder { get; set; } = "";

    /// <summary>The QEMU program of guests that are launched here; empty: that of the source or definition.</summary>
    public string LaunchProgram { get; set; } = "";

    /// <summary>Where files of the RAM of launched guests are made.</summary>
    public string MemoryFolder { get; set; } = "/dev/shm";

    /// <summary>QEMU's argument lists by guest. The first one is the program unless it begins with a dash.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Definitions { get; set; } = new Dictionary<string, IReadOnlyList<string>>();

    /// <summary>How QEMUs are launched here.</summary>
    internal LaunchPlace Launch => new(GuestFolder, MemoryFolder, LaunchProgram.Length > 0 ? LaunchProgram : null, Definitions);

    /// <summary>Whether the storage roots were chosen by somebody; the default ones are far more than storage for images.</summary>
    public bool AreStorageRootsChosen { get; set; }

    /// <summary>Saves, and moves from here, that run at the same time; more wait in the queue.</summary>
    /// <value>2 by default: each one alone can fill a disk.</value>
    public int MaxOutgoing { get; set; } = 2;

    /// <summary>Restores, and moves to here, that run at the same time; more wait in the queue.</summary>
    /// <value>2 by default.</value>
    public int MaxIncoming { get; set; } = 2;

    /// <summary>Migrations of the cluster that use one storage root at the same time. Every silo has the same setting, since any of them may
    /// be the one that decides.</summary>
    /// <value>4 by default.</value>
    public int MaxPerStorage { get; set; } = 4;

    /// <summary>Writer threads of a save that does not ask for a number.</summary>
    /// <value>4 by default, measured: fewer leave the disk idle, more gain nothing.</value>
    public int Writers { get; set; } = WriterOptions.DefaultWriters;

    /// <summary>Parallel channels of QEMU's stream of a live save that does not ask for a number; 0: half of the CPUs, at least 2 and at most 4.</summary>
    public int Streams { get; set; }

    /// <summary>How long a fault of the storage may keep a guest stopped while calls are tried again.</summary>
    /// <value>10 s by default: longer than a network file system takes to find its server again after a short stall.</value>
    public TimeSpan MaxDowntime { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long no coordinator may be heard while a guest is kept stopped for a save; then the guest gets its run state back.</summary>
    /// <value>15 s by default: a coordinator whose silo hangs goes on elsewhere sooner.</value>
    public TimeSpan CommandPatience { get; set; } = TimeSpan.FromSeconds(15);

    /// <summary>How long the target of a move may not answer before the guest is given back to its source.</summary>
    /// <value>10 s by default: a silo that was killed is back sooner.</value>
    public TimeSpan TargetPatience { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>How long calls to the storage may not return before a migration whose guest runs is paused.</summary>
    public TimeSpan StallTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Bytes written after which an fsync epoch closes.</summary>
    public long EpochBytes { get; set; } = 1L << 30;

    /// <summary>Time after which an fsync epoch closes.</summary>
    public TimeSpan EpochTime { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>Bytes that one write covers at most.</summary>
    /// <value>1 MiB by default; a multiple of 4096 up to 8 MiB.</value>
    public int ExtentBytes { get; set; } = 1 << 20;
}

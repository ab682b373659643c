using DistMigrate.Transfer;

namespace DistMigrate.Silo;

/// <summary>Limits of a host.</summary>
internal sealed class LimitSettings
{
    private static readonly TimeSpan ShortestTime = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan LongestTime = TimeSpan.FromHours(1);

    [Setting("saves, and moves from this host, at a time; more wait, see [who waits for what](cluster.md#who-waits-for-what)")]
    public int MaxOutgoing { get; set; } = 2;

    [Setting("restores, and moves to this host, at a time; more wait")]
    public int MaxIncoming { get; set; } = 2;

    [Setting(
        "migrations of the whole cluster that use one storage root at a time; the same in every silo, since any of them may be the one that decides")]
    public int MaxPerStorage { get; set; } = 4;

    [Setting("writer threads of a save without `--writers`")]
    public int Writers { get; set; } = WriterOptions.DefaultWriters;

    [Setting("parallel channels of QEMU's stream (multifd) of a live save without `--streams`; 1: a single stream; 0: half of the CPUs, at least 2 and at most 4")]
    public int Streams { get; set; }

    [Setting("largest write, in bytes: a multiple of 4096")]
    public int ExtentBytes { get; set; } = 1 << 20;

    [Setting(
        "how long a fault of the storage may keep a guest stopped while calls are tried again; then the guest runs on and the save is `paused` " +
        "(`--max-downtime` for one save)")]
    public TimeSpan MaxDowntime { get; set; } = TimeSpan.FromSeconds(10);

    [Setting("the same for calls that do not return while no guest is kept stopped by them")]
    public TimeSpan StallTimeout { get; set; } = TimeSpan.FromSeconds(30);

    [Setting(
        "how long no coordinator may be heard while a guest is kept stopped for a save, as on a host that is cut off; then the guest runs on, and " +
        "the save goes on later from what is durable")]
    public TimeSpan CommandPatience { get; set; } = TimeSpan.FromSeconds(15);

    [Setting(
        "how long the target of a move may not answer when something is asked of it. Then the move fails if the guest was not stopped yet, and gives " +
        "the guest back to its source if it was; where the target may run it already, the move [needs attention](cluster.md#when-nobody-can-tell)")]
    public TimeSpan TargetPatience { get; set; } = TimeSpan.FromSeconds(10);

    [Setting("bytes after which an fsync epoch closes: what a failed fsync, or the end of the silo, costs at most")]
    public long EpochBytes { get; set; } = 1L << 30;

    [Setting("time after which an fsync epoch closes")]
    public TimeSpan EpochTime { get; set; } = TimeSpan.FromSeconds(5);

    public void Check(SettingFaults faults)
    {
        CheckCount(faults, nameof(MaxOutgoing), MaxOutgoing);
        CheckCount(faults, nameof(MaxIncoming), MaxIncoming);
        CheckCount(faults, nameof(MaxPerStorage), MaxPerStorage, most: 1024);
        CheckCount(faults, nameof(Writers), Writers);
        CheckCount(faults, nameof(Streams), Streams, least: 0);
        if (ExtentBytes is < 4096 or > 8 << 20 || ExtentBytes % 4096 != 0)
            faults.Value("Limits:ExtentBytes", ExtentBytes, "it is a multiple of 4096 from 4096 to 8388608");
        CheckTime(faults, nameof(MaxDowntime), MaxDowntime);
        CheckTime(faults, nameof(StallTimeout), StallTimeout);
        CheckTime(faults, nameof(TargetPatience), TargetPatience);
        CheckTime(faults, nameof(CommandPatience), CommandPatience);
        CheckTime(faults, nameof(EpochTime), EpochTime);
        if (EpochBytes < 1 << 20)
            faults.Value("Limits:EpochBytes", EpochBytes, "it is at least 1048576");
    }

    private static void CheckCount(SettingFaults faults, string name, int value, int most = 64, int least = 1)
    {
        if (value < least || value > most)
            faults.Value($"Limits:{name}", value, $"it is {least} to {most}");
    }

    private static void CheckTime(SettingFaults faults, string name, TimeSpan value)
    {
        if (value < ShortestTime || value > LongestTime)
            faults.Value($"Limits:{name}", value, "it is 00:00:00.1 to 01:00:00");
    }
}

namespace DistMigrate.Contracts;

/// <summary>What an operator asks a host to do.</summary>
/// <param name="Kind">Save, restore, move, or a plan of a save or move.</param>
/// <param name="Guest">The guest's name: 1 to 64 letters, digits, dots, dashes or underscores.</param>
/// <param name="QmpPath">Path of its monitor socket on the host; null for a guest that the host knows, and for a restore into a QEMU
/// that the host launches.</param>
/// <param name="ImagePath">Absolute path of the image, below a storage root; empty in a move that leaves the choice to the host.</param>
/// <param name="Save">Options of a save, also as a part of a move; null otherwise.</param>
/// <param name="Restore">Options of a restore, also as a part of a move; null otherwise.</param>
/// <param name="Move">Options of a move, also of a planned one; null otherwise.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.MigrationRequest")]
public sealed record MigrationRequest(
    [property: Id(0)] MigrationKind Kind,
    [property: Id(1)] string Guest,
    [property: Id(2)] string? QmpPath,
    [property: Id(3)] string ImagePath,
    [property: Id(4)] SaveOptions? Save,
    [property: Id(5)] RestoreOptions? Restore,
    [property: Id(6)] MoveOptions? Move = null);

/// <summary>What becomes of the guest once its image is published.</summary>
[GenerateSerializer, Alias("distmigrate.AfterSave")]
public enum AfterSave
{
    /// <summary>It stays stopped, so that memory image and disks stay consistent.</summary>
    Pause,

    /// <summary>It runs on; the image then holds an older state than its disks.</summary>
    Run,

    /// <summary>Its QEMU is ended.</summary>
    Quit,
}

/// <summary>Whether pages are written past the page cache.</summary>
[GenerateSerializer, Alias("distmigrate.DirectIo")]
public enum DirectIo
{
    /// <summary>With O_DIRECT where a probe shows that the file system takes it.</summary>
    Auto,

    /// <summary>With O_DIRECT, or not at all.</summary>
    On,

    /// <summary>Through the page cache.</summary>
    Off,
}

/// <summary>Whether the guest runs while its pages are written, and how it is known then what it changes.</summary>
[GenerateSerializer, Alias("distmigrate.SaveMode")]
public enum SaveMode
{
    /// <summary>By what becomes of the guest: <see cref="Stream"/> where it is to run on, else <see cref="Stopped"/>.</summary>
    Auto,

    /// <summary>The guest is stopped first.</summary>
    Stopped,

    /// <summary>The guest runs; QEMU's precopy stream tells what it changes, by QEMU's own dirty log.</summary>
    Stream,

    /// <summary>The guest runs; its memory is compared with what was written.</summary>
    Compare,

    /// <summary>The guest runs on; what it held at the beginning is written (QEMU's background-snapshot).</summary>
    Snapshot,
}

/// <summary>What is done when a running guest changes its memory faster than that can be written.</summary>
[GenerateSerializer, Alias("distmigrate.ConvergencePolicy")]
public enum ConvergencePolicy
{
    /// <summary>The allowed downtime grows step by step to ten times of what was asked for; then the migration fails.</summary>
    Balanced,

    /// <summary>The allowed downtime is never exceeded; the migration fails when the guest does not become quieter.</summary>
    MinimalDowntime,

    /// <summary>The allowed downtime grows as far as it takes, and QEMU slows a streamed guest's CPUs down.</summary>
    MustFinish,
}

/// <summary>Options of a save.</summary>
/// <param name="After">What becomes of the guest.</param>
/// <param name="Writers">Writer threads, 1 to 64; 0 takes the host's default.</param>
/// <param name="BandwidthLimit">Bytes of guest pages written per second at most; 0 for no limit.</param>
/// <param name="DirectIo">Whether pages are written past the page cache.</param>
/// <param name="Overwrite">Whether a published image of that name may be replaced.</param>
/// <param name="MaxDowntime">How long the guest may stand still. Of a live save: at its end; null is 300 ms. Of a stopped one and a snapshot: while a
/// fault of the storage lasts; then it gets its run state back and the migration is paused; null takes the host's default.</param>
/// <param name="Mode">Whether the guest runs meanwhile.</param>
/// <param name="Policy">What is done when a live save does not converge.</param>
/// <param name="MostIterations">Iterations after which a live save stops the guest, however long that takes; 0 for no such limit.</param>
/// <param name="StallTimeout">How long calls to the storage may not return before the migration is paused; null takes the host's default.</param>
/// <param name="Streams">Parallel channels of QEMU's stream (multifd), 1 to 64; 0 takes the host's default. One where QEMU cannot connect to the host's silo.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.SaveOptions")]
public sealed record SaveOptions(
    [property: Id(0)] AfterSave After = AfterSave.Pause,
    [property: Id(1)] int Writers = 0,
    [property: Id(2)] long BandwidthLimit = 0,
    [property: Id(3)] DirectIo DirectIo = DirectIo.Auto,
    [property: Id(4)] bool Overwrite = false,
    [property: Id(5)] TimeSpan? MaxDowntime = null,
    [property: Id(6)] SaveMode Mode = SaveMode.Auto,
    [property: Id(7)] ConvergencePolicy Policy = ConvergencePolicy.Balanced,
    [property: Id(8)] int MostIterations = 0,
    [property: Id(9)] TimeSpan? StallTimeout = null,
    [property: Id(10)] int Streams = 0)
{
    /// <summary>How long the guest of a live save may stand still at its end, unless told otherwise.</summary>
    public static TimeSpan DefaultDowntime { get; } = TimeSpan.FromMilliseconds(300);

    /// <summary>The least bandwidth limit that is taken, in bytes per second: below it a single write would wait for minutes.</summary>
    public const long LeastBandwidth = 64 * 1024;

    /// <summary>Refuses a bandwidth limit that makes no sense.</summary>
    /// <exception cref="MigrationException">It is too low.</exception>
    public static void CheckBandwidth(long limit)
    {
        if (limit is not 0 and < LeastBandwidth)
            throw new MigrationException(FailureReason.InvalidRequest, $"The bandwidth limit is at least {LeastBandwidth / 1024} KiB/s.");
    }

    /// <summary>Whether the guest runs while its pages are written, and is stopped for those that it has changed.</summary>
    public bool IsLive => Mode is SaveMode.Stream or SaveMode.Compare;
}

/// <summary>Options of a restore.</summary>
/// <param name="Channels">QEMU's multifd channels, 1 to 64; 0 loads without multifd.</param>
/// <param name="DirectIo">Whether QEMU reads past its page cache; needs channels. Auto and Off read through it.</param>
/// <param name="IgnoreClaim">Whether to run the guest although another holds the claim.</param>
/// <param name="Paused">Whether the guest is left paused after the load instead of continued.</param>
/// <param name="IgnoreMismatch">Whether differences between the manifest and the target are reported but not refused.</param>
/// <param name="Lazy">Whether the guest runs at once from the image, which stays mapped as its memory; only in a QEMU that the host launches.</param>
/// <param name="Prefetch">Whether such an image is read into the page cache while the guest runs.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.RestoreOptions")]
public sealed record RestoreOptions(
    [property: Id(0)] int Channels = 4,
    [property: Id(1)] DirectIo DirectIo = DirectIo.Auto,
    [property: Id(2)] bool IgnoreClaim = false,
    [property: Id(3)] bool Paused = false,
    [property: Id(4)] bool IgnoreMismatch = false,
    [property: Id(5)] bool Lazy = false,
    [property: Id(6)] bool Prefetch = false);

/// <summary>Options of a move.</summary>
/// <param name="Target">The host that the guest goes to.</param>
/// <param name="TargetQmpPath">Monitor socket of a QEMU that waits there; null when that host launches one.</param>
/// <param name="KeepImage">Whether the image stays once the guest runs on the target.</param>
/// <param name="AcceptsFullLoad">Whether the guest may stand still for the load of the whole image, where the target's QEMU cannot be filled before.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.MoveOptions")]
public sealed record MoveOptions(
    [property: Id(0)] string Target,
    [property: Id(1)] string? TargetQmpPath = null,
    [property: Id(2)] bool KeepImage = false,
    [property: Id(3)] bool AcceptsFullLoad = false);

/// <summary>A migration as its host admitted it: the request with its identity.</summary>
/// <param name="Id">The migration's id, unique in the cluster.</param>
/// <param name="Host">The host that runs it; of a move, the guest's host before it.</param>
/// <param name="Submitted">When the host took it.</param>
/// <param name="Request">What was asked, with the monitor path resolved.</param>
/// <param name="Storage">The storage root that the image lies below, with every link followed.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.MigrationSpec")]
public sealed record MigrationSpec(
    [property: Id(0)] string Id,
    [property: Id(1)] string Host,
    [property: Id(2)] DateTimeOffset Submitted,
    [property: Id(3)] MigrationRequest Request,
    [property: Id(4)] string Storage = "");

namespace DistMigrate.Grains.Metrics;

/// <summary>Every metric of a silo, but Orleans' and the runtime's own. docs/metrics.md is generated from it.</summary>
internal static class MetricCatalog
{
    /// <summary>Series of guests at most, before their instruments are made anew (<see cref="RenewingMeter"/>).</summary>
    public const int MostGuests = 2_000;

    /// <summary>The same of RAMBlocks.</summary>
    public const int MostRamBlocks = 5_000;

    private static readonly double[] Latencies = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

    private static readonly double[] Downtimes = [0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60];

    private static readonly double[] Durations = [1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_200, 3_600, 7_200, 14_400];

    public static readonly MetricDefinition BuildInfo = new(MetricKind.Gauge, "distmigrate.build_info", "", "Always 1; the labels tell the silo's build.", "version", "commit");

    public static readonly MetricDefinition Unfinished = new(MetricKind.Gauge, "distmigrate.migrations_unfinished", "{migration}",
        "Migrations of the whole cluster that have not ended, as this silo last saw them.");

    public static readonly MetricDefinition GuestRunning = new(MetricKind.Gauge, "distmigrate.guest_running", "",
        "1 when this host's silo last saw the guest run here, 0 when it stood still or waited. More than one host with a 1 is a split brain.", "guest")
    { MostSeries = 2 * MostGuests };

    public static readonly MetricDefinition QueueLength = new(MetricKind.Gauge, "distmigrate.queue_length", "{migration}",
        "Migrations that wait for a place on this host.", "direction");

    public static readonly MetricDefinition PlacesInUse = new(MetricKind.Gauge, "distmigrate.places_in_use", "{migration}",
        "Migrations that hold a place on this host.", "direction");

    public static readonly MetricDefinition Places = new(MetricKind.Gauge, "distmigrate.places", "{migration}",
        "Places for migrations that this host is configured to have.", "direction");

    public static readonly MetricDefinition Info = new(MetricKind.Gauge, "distmigrate.migration_info", "",
        "Always 1; the labels tell what a migration is and where it stands.",
        "guest", "migration_id", "kind", "mode", "policy", "source_host", "target_host", "phase", "result", "reason")
    { MostSeries = 2 * MostGuests };

    public static readonly MetricDefinition StartTime = OfMigration("start_time", "s", "Unix time at which the guest's migration left the queue.");

    public static readonly MetricDefinition EndTime = OfMigration("end_time", "s", "Unix time at which the guest's migration ended; absent while it runs.");

    public static readonly MetricDefinition Progress = OfMigration("progress_ratio", "", "Share of the guest's pages, from 0 to 1, whose content is durable in the image.");

    public static readonly MetricDefinition DataTotal = OfMigration("data_total", "By", "Guest memory that the migration covers.");

    public static readonly MetricDefinition DataProcessed = OfMigration("data_processed", "By", "Guest memory written to the image, repeats included, zero pages not.");

    public static readonly MetricDefinition DataRemaining = OfMigration("data_remaining", "By", "Guest memory that is not yet durable in the image; absent once the migration has ended.");

    public static readonly MetricDefinition DirtyRate = OfMigration("dirty_rate", "By/s", "How fast the guest of a live migration changes its memory; absent otherwise.");

    public static readonly MetricDefinition TransferRate = OfMigration("transfer_rate", "By/s",
        "How fast guest memory is written to the image, over the last ten seconds; absent once the migration has ended.");

    public static readonly MetricDefinition Iterations = OfMigration("iterations", "{iteration}", "Times that the dirty bitmaps were synchronised.");

    public static readonly MetricDefinition ExpectedDowntime = OfMigration("expected_downtime", "s",
        "How long the guest of a live migration would stand still if it were stopped now; absent otherwise.");

    public static readonly MetricDefinition AllowedDowntime = OfMigration("allowed_downtime", "s",
        "How long the guest of a live migration may stand still, as its policy has it by now; absent otherwise, and when it may as long as it takes.");

    public static readonly MetricDefinition InPhase = new(MetricKind.Gauge, "distmigrate.migrations_in_phase", "{migration}",
        "Migrations coordinated by this silo that are in a phase now.", "phase");

    public static readonly MetricDefinition Ended = new(MetricKind.Counter, "distmigrate.migrations", "{migration}",
        "Migrations coordinated by this silo that have ended; reason is of a closed list.", "kind", "result", "reason");

    public static readonly MetricDefinition Downtime = new(MetricKind.Histogram, "distmigrate.migration_downtime", "s",
        "How long the guests of completed saves and moves stood still: of a move from its stop at the source to its run at the target.", "kind", "mode")
    { Bounds = Downtimes };

    public static readonly MetricDefinition DowntimePart = new(MetricKind.Histogram, "distmigrate.migration_downtime_part", "s",
        "What the guests of completed live saves, and of moves, stood still for, part by part.", "kind", "part")
    { Bounds = Downtimes };

    public static readonly MetricDefinition Duration = new(MetricKind.Histogram, "distmigrate.migration_duration", "s",
        "How long migrations took from leaving the queue to their end.", "kind", "result")
    { Bounds = Durations };

    public static readonly MetricDefinition PhaseDuration = new(MetricKind.Histogram, "distmigrate.migration_phase_duration", "s",
        "How long migrations were in a phase before they left it.", "phase")
    { Bounds = [0.01, 0.05, 0.1, 0.5, .. Durations] };

    public static readonly MetricDefinition Resumes = new(MetricKind.Counter, "distmigrate.resumes", "{resume}",
        "Saves taken up again, by what caused that: the storage answered again (automatic), the operator, a silo's restart, or another coordinator (takeover).",
        "trigger", "result");

    public static readonly MetricDefinition RamBlockPages = OfRamBlock(MetricKind.Gauge, "ramblock.pages", "{page}",
        "Pages of a RAMBlock by state; the four states add up to the block.", "state");

    public static readonly MetricDefinition RamBlockZero = OfRamBlock(MetricKind.Gauge, "ramblock.zero_pages", "{page}",
        "Pages of a RAMBlock that are zero and so absent from the image; they are among the written and durable ones.");

    public static readonly MetricDefinition RamBlockFailed = OfRamBlock(MetricKind.Gauge, "ramblock.failed_pages", "{page}",
        "Pages of a RAMBlock that wait to be written again because a write of them failed or its outcome is not known.");

    public static readonly MetricDefinition WrittenBytes = OfRamBlock(MetricKind.Counter, "block_written", "By",
        "Bytes of a RAMBlock's pages that were written: for the first time, again because the guest changed them (redirtied), or again because an earlier write failed or was not known to be durable (resumed).",
        "kind");

    public static readonly MetricDefinition BlocksFailed = OfGuest("blocks_failed", "{block}", "RAMBlocks of a guest that have failed pages.");

    public static readonly MetricDefinition Epochs = OfGuest("fsync_epochs", "{epoch}", "Fsync epochs that closed well since the save was last taken up.");

    public static readonly MetricDefinition JournalBytes = OfGuest("journal", "By", "Size of the journal of a save under way.");

    public static readonly MetricDefinition CallsUnderWay = OfGuest("storage_calls_under_way", "{call}", "Calls of a save to its storage that have not returned, stuck ones included.");

    public static readonly MetricDefinition StuckWriters = OfGuest("stuck_writers", "{call}", "Calls of a save to its storage of which none has returned for more than two seconds.");

    public static readonly MetricDefinition Writes = new(MetricKind.Counter, "distmigrate.block_writes", "{call}",
        "Calls to the storage of images: writes, fsyncs of all descriptions of an image, reservations of space, changes of the journal.", "operation", "result");

    public static readonly MetricDefinition WriteErrors = new(MetricKind.Counter, "distmigrate.block_write_errors", "{call}",
        "Calls to the storage of images that failed, by error number; other is any that this list does not tell apart, short writes among them.", "operation", "errno");

    public static readonly MetricDefinition WriteDuration = new(MetricKind.Histogram, "distmigrate.block_write_duration", "s",
        "How long calls to the storage of images took, failed ones included.", "operation")
    { Bounds = Latencies };

    public static readonly MetricDefinition StorageFree = new(MetricKind.Gauge, "distmigrate.storage_free", "By",
        "Free space of a storage root, as seen in the last 15 seconds; absent while the storage does not answer.", "storage");

    public static readonly MetricDefinition StorageSize = new(MetricKind.Gauge, "distmigrate.storage_size", "By",
        "Size of the file system of a storage root; absent while the storage does not answer.", "storage");

    public static readonly MetricDefinition ImageBytes = new(MetricKind.Gauge, "distmigrate.image", "By",
        "Space that images and their side files take below a storage root, measured every few minutes: of saves under way (active), published (complete), left over by nobody's migration (orphan).",
        "storage", "state");

    /// <summary>All of them, in the order of the documentation.</summary>
    public static IReadOnlyList<MetricDefinition> All { get; } =
    [
        BuildInfo, Unfinished, GuestRunning, QueueLength, PlacesInUse, Places,
        Info, StartTime, EndTime, Progress, DataTotal, DataProcessed, DataRemaining, DirtyRate, TransferRate, Iterations, ExpectedDowntime, AllowedDowntime,
        InPhase, Ended, Downtime, DowntimePart, Duration, PhaseDuration, Resumes,
        RamBlockPages, RamBlockZero, RamBlockFailed, WrittenBytes, BlocksFailed,
        Writes, WriteErrors, WriteDuration, Epochs, JournalBytes, CallsUnderWay, StuckWriters, StorageFree, StorageSize, ImageBytes,
    ];

    /// <summary>The definition of an instrument; null for one of others.</summary>
    public static MetricDefinition? Find(string name) => All.FirstOrDefault(metric => metric.Name == name);

    private static MetricDefinition OfMigration(string name, string unit, string help) =>
        new(MetricKind.Gauge, "distmigrate.migration_" + name, unit, help, "guest") { MostSeries = 2 * MostGuests };

    private static MetricDefinition OfGuest(string name, string unit, string help) =>
        new(MetricKind.Gauge, "distmigrate." + name, unit, help, "guest") { MostSeries = 2 * MostGuests };

    private static MetricDefinition OfRamBlock(MetricKind kind, string name, string unit, string help, params string[] more) =>
        new(kind, "distmigrate." + name, unit, help, ["guest", "ramblock", .. more]) { MostSeries = (more.Length == 0 ? 2 : 8) * MostRamBlocks };
}

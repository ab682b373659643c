namespace DistMigrate.Client.Output;

// What --output json writes. Names are those of QEMU's monitor where it has one; sizes are bytes, durations seconds, times ISO 8601.
// A field's meaning never changes within a schema number; new fields may come.

/// <summary>A migration with everything known about it; a target only when it is a move.</summary>
internal sealed record MigrationDocument(
    int Schema,
    string Id,
    string Kind,
    string Guest,
    string Host,
    string Image,
    string? Qmp,
    string Phase,
    string? Reason,
    string Message,
    DateTimeOffset Submitted,
    DateTimeOffset? Started,
    DateTimeOffset? Ended,
    DateTimeOffset PhaseSince,
    double? TotalTime,
    double Downtime,
    int QueuePosition,
    string GuestState,
    RamDocument Ram,
    IReadOnlyList<string> Notes,
    TroubleDocument? Trouble,
    string? Target = null,
    string? Mode = null,
    LiveDocument? Live = null,
    IReadOnlyList<DowntimePartDocument>? DowntimeParts = null,
    PlanDocument? Plan = null);

/// <summary>What is to be expected; times in seconds.</summary>
internal sealed record PlanDocument(
    string Mode, long RamBytes, long UsedBytes, long? FreeBytes, double ExpectedWriting, double ExpectedDowntime, double? AllowedDowntime, double ExpectedLoad,
    bool? IsFillable);

/// <summary>One of the things that the guest stood still for, in seconds.</summary>
internal sealed record DowntimePartDocument(string Name, double Time);

/// <summary>How a live save goes on; rates in bytes per second, times in seconds, the throttle in percent of the guest's CPU time.</summary>
internal sealed record LiveDocument(
    int Iteration, double DirtyRate, double WriteRate, long Remaining, double ExpectedDowntime, double? AllowedDowntime, int Throttle);

/// <summary>What is wrong with the storage; without a next try, only the operator makes the migration go on.</summary>
internal sealed record TroubleDocument(string Reason, string Error, DateTimeOffset Since, int Attempts, DateTimeOffset? NextTry, int StuckWrites);

/// <summary>QEMU's counters.</summary>
internal sealed record RamDocument(
    long Total,
    long Transferred,
    long Remaining,
    long Durable,
    long Duplicate,
    long Normal,
    long NormalBytes,
    int DirtySyncCount,
    double BytesPerSecond);

/// <summary>A migration as a list knows it.</summary>
internal sealed record MigrationEntry(
    string Id,
    string Kind,
    string Guest,
    string Host,
    string Image,
    string Phase,
    string? Reason,
    DateTimeOffset Submitted,
    DateTimeOffset PhaseSince,
    string? Target);

/// <summary>A list of migrations, newest first.</summary>
internal sealed record MigrationListDocument(int Schema, IReadOnlyList<MigrationEntry> Migrations);

/// <summary>A host and what is unfinished.</summary>
internal sealed record HostDocument(
    int Schema,
    string Host,
    string Version,
    IReadOnlyList<string> Guests,
    IReadOnlyList<string> StorageRoots,
    IReadOnlyList<string> Running,
    IReadOnlyList<string> Queued,
    IReadOnlyList<MigrationEntry> Migrations);

/// <summary>The hosts of a cluster, by name.</summary>
internal sealed record HostsDocument(int Schema, IReadOnlyList<HostEntry> Hosts);

/// <summary>A host of a cluster: <c>up</c> or <c>down</c>, since when, and what it says of itself when it is up.</summary>
internal sealed record HostEntry(
    string Host,
    string State,
    DateTimeOffset Since,
    string Silo,
    string? Version,
    IReadOnlyList<string> Guests,
    IReadOnlyList<string> Running,
    IReadOnlyList<string> Queued,
    IReadOnlyList<StorageEntry> Storage,
    UsageEntry? Outgoing,
    UsageEntry? Incoming,
    long? AvailableMemory);

/// <summary>Places in use, and how many there are.</summary>
internal sealed record UsageEntry(int InUse, int Limit);

/// <summary>Who holds the places of hosts and storages, and who waits.</summary>
internal sealed record QueueDocument(int Schema, IReadOnlyList<HostQueueEntry> Hosts, IReadOnlyList<StorageQueueEntry> Storages);

/// <summary>A host's places by direction.</summary>
internal sealed record HostQueueEntry(string Host, PlacesEntry Outgoing, PlacesEntry Incoming);

/// <summary>The places of a storage root.</summary>
internal sealed record StorageQueueEntry(string Storage, PlacesEntry Places);

/// <summary>Places: how many there are, who holds them, oldest first, and who waits, the next one first.</summary>
internal sealed record PlacesEntry(int Limit, IReadOnlyList<PlaceEntry> Running, IReadOnlyList<PlaceEntry> Queued);

/// <summary>A migration that holds a place (position 0; a parked one leaves it to others) or waits for one.</summary>
internal sealed record PlaceEntry(string Id, string Kind, string Guest, string Host, int Position, bool Parked, DateTimeOffset Since);

/// <summary>A storage root and its space in bytes; without figures its storage does not tell.</summary>
internal sealed record StorageEntry(string Path, long? Free, long? Total);

/// <summary>The RAMBlocks of a migration.</summary>
internal sealed record BlocksDocument(int Schema, string Id, IReadOnlyList<BlockEntry> Blocks);

/// <summary>A RAMBlock of a migration; pages are counts.</summary>
internal sealed record BlockEntry(
    string Ramblock,
    string Activity,
    string Memory,
    long UsedLength,
    long PagesDirty,
    long PagesInFlight,
    long PagesWritten,
    long PagesDurable,
    long PagesZero,
    long Normal,
    long Duplicate,
    long WrittenBytes,
    long Errors,
    int Iteration,
    long WrittenFirst,
    long WrittenRedirtied,
    long WrittenResumed,
    long PagesFailed,
    string? Reason,
    string? Error);

/// <summary>The structure of an image.</summary>
internal sealed record ImageDocument(
    int Schema,
    string Image,
    long Length,
    long AllocatedBytes,
    string Machine,
    IReadOnlyList<string> Capabilities,
    IReadOnlyList<ImageBlockEntry> Blocks,
    IReadOnlyList<ImageSectionEntry> Sections,
    long TailOffset,
    long EofOffset,
    long? VmdescriptionOffset,
    long VmdescriptionLength);

/// <summary>A RAMBlock of an image.</summary>
internal sealed record ImageBlockEntry(
    string Ramblock, long UsedLength, long HeaderOffset, long BitmapOffset, long PagesOffset, long Pages, long PagesPresent, double ZeroShare);

/// <summary>A section of an image.</summary>
internal sealed record ImageSectionEntry(string Kind, uint Id, string Name, uint Instance, uint Version, long Offset, long Length);

/// <summary>What a check of an image found.</summary>
internal sealed record VerifyDocument(
    int Schema, string Image, bool Ok, int? Blocks, long? PagesPresent, int? Sections, IReadOnlyList<ViolationEntry> Violations, PagesDocument? Pages = null);

/// <summary>What the comparison of every page with the checksums found; at most 100 of the wrong pages.</summary>
internal sealed record PagesDocument(long Compared, long Wrong, IReadOnlyList<PageViolationEntry> Violations);

/// <summary>A page that is not what the checksums say.</summary>
internal sealed record PageViolationEntry(long Offset, string Ramblock, long Page, string Message);

/// <summary>A place where an image breaks a rule.</summary>
internal sealed record ViolationEntry(long Offset, string Rule, string Message);

/// <summary>What saves left below a host's storage roots; <c>removes</c> says whether what nobody owns was to be removed.</summary>
internal sealed record LeftoversDocument(int Schema, string Host, bool Removes, IReadOnlyList<LeftoverEntry> Leftovers);

/// <summary>A file that a save left, or a folder that was not looked through.</summary>
internal sealed record LeftoverEntry(
    string Path, long Bytes, DateTimeOffset Changed, string? Migration, string? Guest, bool Owned, bool Removed, string? Remark);

/// <summary>What the demo showed.</summary>
internal sealed record DemoDocument(
    int Schema, bool Ok, string Qemu, long Ram, double SaveTime, double RestoreTime, long PagesEqual, int Blocks, string Summary);

/// <summary>The client's version.</summary>
internal sealed record VersionDocument(int Schema, string Version, string Runtime);

/// <summary>What <c>doctor</c> found: the worst verdict, and every check; verdicts are <c>ok</c>, <c>warning</c>, <c>failed</c> and <c>not-tried</c>.</summary>
internal sealed record DoctorDocument(int Schema, string Verdict, IReadOnlyList<CheckEntry> Checks);

/// <summary>One check of a <c>host</c>, a <c>guest</c> or a <c>storage</c> folder.</summary>
internal sealed record CheckEntry(string Kind, string Subject, string Check, string Verdict, string Found, string? Why, string? Fix);

using System.Text.Json;
using System.Text.Json.Serialization;
using DistMigrate.Contracts;

namespace DistMigrate.Silo.Page;

// What the page's script reads, with the names of the command's --output json where both have the same thing. Every field is chosen here:
// monitor sockets, arguments, tokens, and how to reach the cluster, are not among them.

/// <summary>The cluster as this silo knows it.</summary>
/// <param name="Schema">1.</param>
/// <param name="Host">This silo's host.</param>
/// <param name="Version">This silo's version.</param>
/// <param name="Time">The time here.</param>
/// <param name="Unfinished">Unfinished migrations, newest first.</param>
/// <param name="Ended">Those that ended last, the last one first.</param>
/// <param name="LeftOut">How many more unfinished ones there are.</param>
/// <param name="Hosts">The hosts, by name.</param>
/// <param name="Queue">Who holds the places of hosts and storages, and who waits.</param>
/// <param name="Silent">What did not answer.</param>
internal sealed record OverviewDocument(
    int Schema, string Host, string Version, DateTimeOffset Time, IReadOnlyList<MigrationDocument> Unfinished, IReadOnlyList<MigrationEntry> Ended,
    int LeftOut, IReadOnlyList<HostEntry> Hosts, QueueDocument Queue, IReadOnlyList<Silence> Silent);

/// <summary>One migration with its RAMBlocks, the largest first, and how many smaller ones are left out.</summary>
internal sealed record DetailDocument(
    int Schema, MigrationDocument Migration, IReadOnlyList<BlockEntry> Blocks, int LeftOut, IReadOnlyList<Silence> Silent);

/// <summary>A part of the cluster that does not answer: since when, when it did last, and what happened instead.</summary>
internal sealed record Silence(string What, DateTimeOffset Since, DateTimeOffset? LastAnswer, string Error);

/// <summary>A migration; without its coordinator's answer only what the catalog says.</summary>
internal sealed record MigrationDocument(
    string Id, string Kind, string Guest, string Host, string? Target, string? Mode, string Image, string Phase, string? Reason, string? Message,
    DateTimeOffset Submitted, DateTimeOffset? Started, DateTimeOffset? Ended, DateTimeOffset PhaseSince, double? Downtime, int QueuePosition,
    string? GuestState, RamDocument? Ram, IReadOnlyList<string> Notes, TroubleDocument? Trouble, LiveDocument? Live,
    IReadOnlyList<DowntimePartDocument>? DowntimeParts, DateTimeOffset? AsOf)
{
    public static MigrationDocument Of(MigrationStatus status, DateTimeOffset? asOf) => new(
        status.Spec.Id, Name(status.Spec.Request.Kind), status.Spec.Request.Guest, status.Spec.Host, status.Spec.Request.Move?.Target,
        status.Spec.Request.Save is { } save ? Name(save.Mode) : null, status.Spec.Request.ImagePath, status.Phase.ToName(), ReasonName(status.Reason),
        status.Message, status.Spec.Submitted, status.Started, status.Ended, status.PhaseSince, status.Downtime.TotalSeconds, status.QueuePosition,
        status.GuestState, RamDocument.Of(status.Ram, status.BytesPerSecond), status.Notes,
        status.Trouble is { } trouble
            ? new TroubleDocument(Name(trouble.Reason), trouble.Error, trouble.Since, trouble.Attempts, trouble.NextTry, trouble.StuckWrites)
            : null,
        status.Live is { } live
            ? new LiveDocument(
                live.Iteration, Math.Round(live.DirtyBytesPerSecond), Math.Round(live.WriteBytesPerSecond), live.Remaining,
                live.ExpectedDowntime.TotalSeconds, live.AllowedDowntime?.TotalSeconds, live.ThrottlePercent)
            : null,
        status.DowntimeParts is { Count: > 0 } parts ? [.. parts.Select(part => new DowntimePartDocument(part.Name, part.Time.TotalSeconds))] : null,
        asOf);

    public static MigrationDocument Of(MigrationSummary summary) => new(
        summary.Spec.Id, Name(summary.Spec.Request.Kind), summary.Spec.Request.Guest, summary.Spec.Host, summary.Spec.Request.Move?.Target,
        summary.Spec.Request.Save is { } save ? Name(save.Mode) : null, summary.Spec.Request.ImagePath, summary.Phase.ToName(),
        ReasonName(summary.Reason), null, summary.Spec.Submitted, null, null, summary.Changed, null, 0, null, null, [], null, null, null, null);

    public static string? ReasonName(FailureReason reason) => reason == FailureReason.None ? null : Name(reason);

    public static string Name<T>(T member) where T : struct, Enum => JsonNamingPolicy.KebabCaseLower.ConvertName(member.ToString());
}

/// <summary>QEMU's counters.</summary>
internal sealed record RamDocument(
    long Total, long Transferred, long Remaining, long Durable, long Duplicate, long Normal, long NormalBytes, int DirtySyncCount, double BytesPerSecond)
{
    public static RamDocument Of(RamCounters ram, double bytesPerSecond) => new(
        ram.Total, ram.Transferred, ram.Remaining, ram.Durable, ram.Duplicate, ram.Normal, ram.NormalBytes, ram.DirtySyncCount, Math.Round(bytesPerSecond));
}

/// <summary>What is wrong with the storage.</summary>
internal sealed record TroubleDocument(string Reason, string Error, DateTimeOffset Since, int Attempts, DateTimeOffset? NextTry, int StuckWrites);

/// <summary>How a live save goes on.</summary>
internal sealed record LiveDocument(
    int Iteration, double DirtyRate, double WriteRate, long Remaining, double ExpectedDowntime, double? AllowedDowntime, int Throttle);

/// <summary>One of the things that the guest stood still for.</summary>
internal sealed record DowntimePartDocument(string Name, double Time);

/// <summary>An ended migration, as the catalog has it.</summary>
internal sealed record MigrationEntry(
    string Id, string Kind, string Guest, string Host, string? Target, string Image, string Phase, string? Reason, DateTimeOffset Submitted,
    DateTimeOffset PhaseSince)
{
    public static MigrationEntry Of(MigrationSummary summary) => new(
        summary.Spec.Id, MigrationDocument.Name(summary.Spec.Request.Kind), summary.Spec.Request.Guest, summary.Spec.Host,
        summary.Spec.Request.Move?.Target, summary.Spec.Request.ImagePath, summary.Phase.ToName(), MigrationDocument.ReasonName(summary.Reason),
        summary.Spec.Submitted, summary.Changed);
}

/// <summary>A host: <c>up</c> or <c>down</c>, and what it said of itself last.</summary>
internal sealed record HostEntry(
    string Host, string State, DateTimeOffset Since, string? Version, IReadOnlyList<string> Guests, int Queued, IReadOnlyList<StorageEntry> Storage,
    UsageEntry? Outgoing, UsageEntry? Incoming, long? AvailableMemory, DateTimeOffset? AsOf)
{
    public static HostEntry Of(HostPresence presence, HostStatus? status, DateTimeOffset? asOf) => new(
        presence.Host, presence.IsUp ? "up" : "down", presence.Since, status?.Version, status?.Guests ?? [], status?.Queued.Count ?? 0,
        [.. (status?.Storage ?? []).Select(space => new StorageEntry(space.Path, space.FreeBytes, space.TotalBytes))],
        status is null ? null : new UsageEntry(status.InUse(PlaceKind.Outgoing), status.MaxOutgoing),
        status is null ? null : new UsageEntry(status.InUse(PlaceKind.Incoming), status.MaxIncoming),
        status?.AvailableMemory, asOf);
}

/// <summary>A storage root and its space.</summary>
internal sealed record StorageEntry(string Path, long? Free, long? Total);

/// <summary>Places in use, and how many there are.</summary>
internal sealed record UsageEntry(int InUse, int Limit);

/// <summary>Who holds the places of hosts and storages, and who waits.</summary>
internal sealed record QueueDocument(IReadOnlyList<HostQueueEntry> Hosts, IReadOnlyList<StorageQueueEntry> Storages);

/// <summary>A host's places by direction.</summary>
internal sealed record HostQueueEntry(string Host, PlacesEntry Outgoing, PlacesEntry Incoming)
{
    public static HostQueueEntry Of(HostStatus host) => new(
        host.Host, PlacesEntry.Of(host.Places, PlaceKind.Outgoing, host.MaxOutgoing), PlacesEntry.Of(host.Places, PlaceKind.Incoming, host.MaxIncoming));
}

/// <summary>The places of a storage root.</summary>
internal sealed record StorageQueueEntry(string Storage, PlacesEntry Places)
{
    public static StorageQueueEntry Of(StorageStatus storage) => new(storage.Path, PlacesEntry.Of(storage.Places, PlaceKind.Storage, storage.Limit));
}

/// <summary>Places: how many there are, who holds them, oldest first, and who waits, the next one first.</summary>
internal sealed record PlacesEntry(int Limit, IReadOnlyList<PlaceEntry> Running, IReadOnlyList<PlaceEntry> Queued)
{
    public static PlacesEntry Of(IReadOnlyList<QueueEntry> places, PlaceKind kind, int limit) => new(
        limit,
        [.. places.Where(place => place.Place == kind && place.Position == 0).Select(PlaceEntry.Of)],
        [.. places.Where(place => place.Place == kind && place.Position > 0).Select(PlaceEntry.Of)]);
}

/// <summary>A migration that holds a place (position 0; a parked one leaves it to others) or waits for one.</summary>
internal sealed record PlaceEntry(string Id, string Kind, string Guest, string Host, int Position, bool Parked, DateTimeOffset Since)
{
    public static PlaceEntry Of(QueueEntry place) => new(
        place.Id, MigrationDocument.Name(place.Kind), place.Guest, place.Host, place.Position, place.IsParked, place.Since);
}

/// <summary>A RAMBlock of a migration; pages are counts, and the map says where they lie.</summary>
internal sealed record BlockEntry(
    string Ramblock, string Activity, string Memory, long UsedLength, long PagesDirty, long PagesInFlight, long PagesWritten, long PagesDurable,
    long PagesZero, long PagesFailed, long WrittenBytes, long Errors, int Iteration, string? Reason, string? Error, MapDocument? Map)
{
    public static BlockEntry Of(BlockStatus block, IReadOnlyList<PageCounts> map) => new(
        block.Name, MigrationDocument.Name(block.Activity), block.Memory, block.UsedLength, block.Pages.Dirty, block.Pages.InFlight,
        block.Pages.Written, block.Pages.Durable, block.Pages.Zero, block.FailedPages, block.WrittenBytes, block.Errors, block.Iteration,
        MigrationDocument.ReasonName(block.Reason), block.Error.Length == 0 ? null : block.Error, MapDocument.Of(map));
}

/// <summary>Pages by state in cells of equal size along a RAMBlock, as in the block's own counters.</summary>
internal sealed record MapDocument(
    IReadOnlyList<long> Dirty, IReadOnlyList<long> InFlight, IReadOnlyList<long> Written, IReadOnlyList<long> Durable, IReadOnlyList<long> Zero)
{
    public static MapDocument? Of(IReadOnlyList<PageCounts> cells) => cells.Count == 0
        ? null
        : new MapDocument(
            [.. cells.Select(cell => cell.Dirty)], [.. cells.Select(cell => cell.InFlight)], [.. cells.Select(cell => cell.Written)],
            [.. cells.Select(cell => cell.Durable)], [.. cells.Select(cell => cell.Zero)]);
}

/// <summary>How they are written.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(OverviewDocument))]
[JsonSerializable(typeof(DetailDocument))]
internal sealed partial class PageJson : JsonSerializerContext;

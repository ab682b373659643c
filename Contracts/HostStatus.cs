namespace DistMigrate.Contracts;

/// <summary>A host and what runs there.</summary>
/// <param name="Host">Its configured name.</param>
/// <param name="Version">Version of its silo.</param>
/// <param name="Places">The migrations that hold its places, oldest first, and those that wait, the next one first.</param>
/// <param name="MaxOutgoing">Its outgoing places.</param>
/// <param name="MaxIncoming">Its incoming places.</param>
/// <param name="Guests">Names of the guests that it knows, from its configuration and its guest folder, sorted.</param>
/// <param name="StorageRoots">Folders below which images may lie.</param>
/// <param name="Storage">Their space.</param>
/// <param name="AvailableMemory">Bytes that new guests may use without swapping, as Linux estimates them; null when it does not tell.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.HostStatus")]
public sealed record HostStatus(
    [property: Id(0)] string Host,
    [property: Id(1)] string Version,
    [property: Id(2)] IReadOnlyList<QueueEntry> Places,
    [property: Id(3)] int MaxOutgoing,
    [property: Id(4)] int MaxIncoming,
    [property: Id(5)] IReadOnlyList<string> Guests,
    [property: Id(6)] IReadOnlyList<string> StorageRoots,
    [property: Id(7)] IReadOnlyList<StorageSpace> Storage,
    [property: Id(8)] long? AvailableMemory)
{
    /// <summary>Ids of the migrations that hold a place, oldest first.</summary>
    public IReadOnlyList<string> Running => [.. Places.Where(place => place.Position == 0).Select(place => place.Id)];

    /// <summary>Ids of the migrations that wait, the next one of each direction first.</summary>
    public IReadOnlyList<string> Queued => [.. Places.Where(place => place.Position > 0).Select(place => place.Id)];

    /// <summary>Places of a kind in use: those of parked migrations are not.</summary>
    public int InUse(PlaceKind kind) => Places.Count(place => place.Place == kind && place is { Position: 0, IsParked: false });
}

namespace DistMigrate.Contracts;

/// <summary>What a migration holds a place of, or waits for.</summary>
[GenerateSerializer, Alias("distmigrate.PlaceKind")]
public enum PlaceKind
{
    /// <summary>A place of a host for migrations out of it: saves, and moves at their source.</summary>
    Outgoing,

    /// <summary>A place of a host for migrations into it: restores, and moves at their target.</summary>
    Incoming,

    /// <summary>A place of a storage root, for the whole cluster.</summary>
    Storage,
}

/// <summary>A migration that holds a place, or waits for one.</summary>
/// <param name="Id">The migration.</param>
/// <param name="Guest">Its guest.</param>
/// <param name="Kind">What it does.</param>
/// <param name="Host">The host that started it; of a move, its source.</param>
/// <param name="Storage">The storage root of its image.</param>
/// <param name="Place">What it has a place of, or waits for.</param>
/// <param name="Position">1 for the next to get its place; 0 when it holds it.</param>
/// <param name="IsParked">Whether it is paused or needs attention, and so leaves its place to others.</param>
/// <param name="Since">Since when it holds the place or waits for it.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.QueueEntry")]
public sealed record QueueEntry(
    [property: Id(0)] string Id,
    [property: Id(1)] string Guest,
    [property: Id(2)] MigrationKind Kind,
    [property: Id(3)] string Host,
    [property: Id(4)] string Storage,
    [property: Id(5)] PlaceKind Place,
    [property: Id(6)] int Position,
    [property: Id(7)] bool IsParked,
    [property: Id(8)] DateTimeOffset Since);

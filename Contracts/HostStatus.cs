namespace DistMigrate.Contracts;

/// <summary>A host and what runs there.</summary>
/// <param name="Host">Its configured name.</param>
/// <param name="Version">Version of its silo.</param>
/// <param name="Running">Ids of the migrations that run, oldest first.</param>
/// <param name="Queued">Ids of the migrations that wait, the next one first.</param>
/// <param name="Guests">Names of the guests that its configuration knows.</param>
/// <param name="StorageRoots">Folders below which images may lie.</param>
/// <param name="Storage">Their space.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.HostStatus")]
public sealed record HostStatus(
    [property: Id(0)] string Host,
    [property: Id(1)] string Version,
    [property: Id(2)] IReadOnlyList<string> Running,
    [property: Id(3)] IReadOnlyList<string> Queued,
    [property: Id(4)] IReadOnlyList<string> Guests,
    [property: Id(5)] IReadOnlyList<string> StorageRoots,
    [property: Id(6)] IReadOnlyList<StorageSpace> Storage);

namespace DistMigrate.Contracts;

/// <summary>A file of an unfinished or interrupted migration below a storage root.</summary>
/// <param name="Path">Its path: a partial image, a journal, or another side file.</param>
/// <param name="Bytes">Bytes that it takes on storage.</param>
/// <param name="Changed">When it was last written.</param>
/// <param name="Migration">The migration that made it; empty when the file does not tell.</param>
/// <param name="Guest">The guest; empty when the file does not tell.</param>
/// <param name="IsOwned">Whether a living process or an unfinished migration still needs it; then it is never removed.</param>
/// <param name="IsRemoved">Whether it was removed by this call.</param>
/// <param name="Remark">Who owns it, or why it could not be removed, in one sentence; empty otherwise.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.Leftover")]
public sealed record Leftover(
    [property: Id(0)] string Path,
    [property: Id(1)] long Bytes,
    [property: Id(2)] DateTimeOffset Changed,
    [property: Id(3)] string Migration,
    [property: Id(4)] string Guest,
    [property: Id(5)] bool IsOwned,
    [property: Id(6)] bool IsRemoved,
    [property: Id(7)] string Remark);

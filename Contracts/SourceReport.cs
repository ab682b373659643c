namespace DistMigrate.Contracts;

/// <summary>
/// What the target of a move has to know of the guest before that is stopped. It goes from host to host only and is never kept or
/// logged: an argument list may hold secrets.
/// </summary>
/// <param name="Description">How the guest is built, as in the image's manifest (JSON).</param>
/// <param name="Arguments">The argument list of its QEMU, the program first.</param>
/// <param name="WorkingFolder">The folder that relative paths in it start from; empty when not known.</param>
/// <param name="RamBytes">Bytes of its RAMBlocks.</param>
/// <param name="UsedBytes">Bytes of them that may hold something else than zeros; 0 when its image is published.</param>
/// <param name="IsRunning">Whether it runs.</param>
/// <param name="LogsEveryWrite">Whether its dirty log has every write.</param>
/// <param name="IsCompared">Whether its QEMU would not survive a stream, so that its memory is compared instead.</param>
/// <param name="Probe">What stands in the file that the source's host has just left beside the image for the target to find.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.SourceReport")]
public sealed record SourceReport(
    [property: Id(0)] string Description,
    [property: Id(1)] IReadOnlyList<string> Arguments,
    [property: Id(2)] string WorkingFolder,
    [property: Id(3)] long RamBytes,
    [property: Id(4)] Guid Probe,
    [property: Id(5)] long UsedBytes = 0,
    [property: Id(6)] bool IsRunning = false,
    [property: Id(7)] bool LogsEveryWrite = true,
    [property: Id(8)] bool IsCompared = false)
{
    /// <summary>Says nothing of its content.</summary>
    public override string ToString() => nameof(SourceReport);
}

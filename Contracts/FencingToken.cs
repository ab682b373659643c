namespace DistMigrate.Contracts;

/// <summary>
/// Proves that a command comes from the coordinator that is in charge now. A take-over uses a higher number; an equal number
/// with another id is refused, so two coordinators that both think they took over cannot both be obeyed.
/// </summary>
/// <param name="Number">Grows with every take-over; starts at 1.</param>
/// <param name="Id">Random, made with the number.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.FencingToken")]
public sealed record FencingToken([property: Id(0)] long Number, [property: Id(1)] Guid Id);

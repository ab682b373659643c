namespace DistMigrate.Contracts;

/// <summary>What is wrong with the storage of a migration.</summary>
/// <param name="Reason">What kind of fault.</param>
/// <param name="Error">The last failure in one sentence, with what to do.</param>
/// <param name="Since">When it began.</param>
/// <param name="Attempts">How often the failed call, or the probe, was tried again since.</param>
/// <param name="NextTry">When it is tried next; null when only the operator makes it go on.</param>
/// <param name="StuckWrites">Threads that wait in the kernel for a write or fsync which does not return.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.StorageTrouble")]
public sealed record StorageTrouble(
    [property: Id(0)] FailureReason Reason,
    [property: Id(1)] string Error,
    [property: Id(2)] DateTimeOffset Since,
    [property: Id(3)] int Attempts,
    [property: Id(4)] DateTimeOffset? NextTry,
    [property: Id(5)] int StuckWrites);

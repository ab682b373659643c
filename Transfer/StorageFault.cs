namespace DistMigrate.Transfer;

/// <summary>What is wrong with an image's storage.</summary>
/// <param name="Fault">What kind of fault.</param>
/// <param name="Error">The last failure in one sentence, with what to do.</param>
/// <param name="Since">When it began.</param>
/// <param name="Attempts">How often a failed call was tried again since.</param>
/// <param name="NextTry">When it is tried next; null when nothing is waiting to be.</param>
public sealed record StorageFault(ImageFault Fault, string Error, DateTimeOffset Since, int Attempts, DateTimeOffset? NextTry);

namespace DistMigrate.Guests;

/// <summary>How QEMU sees a live stream of its own, as <c>query-migrate</c> tells it.</summary>
/// <param name="Iteration">Its dirty-sync-count: how often it has synchronised its dirty log.</param>
/// <param name="Remaining">Bytes of pages that it has not sent yet.</param>
/// <param name="DirtyBytesPerSecond">How fast the guest dirties memory.</param>
/// <param name="ThrottlePercent">How much of the guest's CPU time QEMU takes away so that it dirties less; 0 when none.</param>
public sealed record StreamProgress(int Iteration, long Remaining, double DirtyBytesPerSecond, int ThrottlePercent = 0);

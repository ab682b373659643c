namespace DistMigrate.Guests;

/// <summary>How QEMU sees a live stream of its own, as <c>query-migrate</c> tells it.</summary>
/// <param name="Iteration">Its dirty-sync-count: how often it has synchronised its dirty log.</param>
/// <param name="Remaining">Bytes of pages that it has not sent yet.</param>
/// <param name="DirtyBytesPerSecond">How fast the guest dirties memory.</param>
public sealed record StreamProgress(int Iteration, long Remaining, double DirtyBytesPerSecond);

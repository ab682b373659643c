namespace DistMigrate.MappedRam;

/// <summary>What <see cref="DeepVerifier"/> found.</summary>
/// <param name="Pages">How many pages were compared: all of the guest.</param>
/// <param name="Bad">How many of them are not what the checksums say.</param>
/// <param name="Violations">At most 100 of the bad ones, by offset.</param>
public sealed record DeepVerification(long Pages, long Bad, IReadOnlyList<PageViolation> Violations);

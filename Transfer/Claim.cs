namespace DistMigrate.Transfer;

/// <summary>The right to run a guest from a published image, as it stands in <c>IMAGE.claim.N</c>.</summary>
/// <param name="Number">N.</param>
/// <param name="ImageId">The image's id of its manifest; empty for an image without one.</param>
/// <param name="Guest">The guest's name.</param>
/// <param name="Migration">The migration that took it.</param>
/// <param name="Holder">The QEMU that runs, or is about to run, the guest.</param>
/// <param name="Token">Random; whoever finds his own here knows that the claim is his, also after a time-out.</param>
/// <param name="Taken">When.</param>
public sealed record Claim(
    int Number, Guid ImageId, string Guest, string Migration, ProcessIdentity Holder, Guid Token, DateTimeOffset Taken);

/// <summary>How the holder gave a claim up: <c>IMAGE.claim.N.released</c>, written only after its QEMU was gone.</summary>
/// <param name="Number">N.</param>
/// <param name="Released">When.</param>
/// <param name="Why">In a few words.</param>
public sealed record ClaimRelease(int Number, DateTimeOffset Released, string Why);

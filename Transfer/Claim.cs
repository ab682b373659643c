using System.Globalization;
using System.IO.Hashing;
using System.Text.Json;

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
    int Number, Guid ImageId, string Guest, string Migration, ProcessIdentity Holder, Guid Token, DateTimeOffset Taken)
{
    /// <summary>XxHash128 (hexadecimal) over all the rest: a damaged name or number must not pass for another holder, who may have ended.</summary>
    public string Seal { get; init; } = "";

    /// <summary>The same with its seal.</summary>
    internal Claim Sealed() => this with { Seal = ComputeSeal() };

    /// <summary>Whether it is as it was sealed.</summary>
    internal bool IsIntact() => Seal == ComputeSeal();

    private string ComputeSeal() =>
        XxHash128.HashToUInt128(JsonSerializer.SerializeToUtf8Bytes(this with { Seal = "" }, TransferJson.Default.Claim))
            .ToString("x32", CultureInfo.InvariantCulture);
}

/// <summary>How the holder gave a claim up: <c>IMAGE.claim.N.released</c>, written only after its QEMU was gone.</summary>
/// <param name="Number">N.</param>
/// <param name="Released">When.</param>
/// <param name="Why">In a few words.</param>
public sealed record ClaimRelease(int Number, DateTimeOffset Released, string Why);

/// <summary>A claim as it stands beside its image, or what is left of it.</summary>
/// <param name="Number">N, by the files' names.</param>
/// <param name="Claim">The claim; null when its file is damaged, or gone with only the release left.</param>
/// <param name="IsReleased">Whether the release record stands there, whatever is in it.</param>
/// <param name="Release">How it was given up; null when it was not, or when the record is damaged.</param>
/// <param name="Damage">What is wrong with the files, in a sentence for the operator; null when nothing is.</param>
public sealed record ClaimStanding(int Number, Claim? Claim, bool IsReleased, ClaimRelease? Release, string? Damage);

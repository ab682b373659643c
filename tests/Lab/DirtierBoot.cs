namespace DistMigrate.Tests.Lab;

/// <summary>The boot sector of <c>Guests/dirtier.asm</c>: it dirties its memory at a given rate. It does not check it.</summary>
public sealed record DirtierBoot : GuestBoot
{
    private static readonly Lazy<byte[]> Sector = new(() => BootSector.Assemble("dirtier.asm"));

    /// <summary>MiB at which the memory that it dirties begins; at least 1.</summary>
    public required int LowerMiB { get; init; }

    /// <summary>MiB at which that ends.</summary>
    public required int UpperMiB { get; init; }

    /// <summary>MiB of pages dirtied per second.</summary>
    public int MiBPerSecond { get; init; }

    /// <inheritdoc/>
    public override LabNeeds Needs => LabNeeds.SelfCheckGuest;

    /// <inheritdoc/>
    public override bool IsReady(string serial) => Steps(serial) >= 2;

    /// <inheritdoc/>
    public override int Steps(string serial) => serial.AsSpan().Count('.');

    /// <inheritdoc/>
    public override string? Fault(string serial) => null;

    internal override Task<IReadOnlyList<string>> PrepareAsync(string folder, bool kvm, CancellationToken cancellationToken) => BootSector.PrepareAsync(
        folder, Sector.Value, [(4, LowerMiB), (8, UpperMiB), (12, MiBPerSecond * 256 / 100), (16, kvm ? 1 : 0)], kvm, cancellationToken);
}

using System.Diagnostics.CodeAnalysis;

namespace DistMigrate.Tests.Lab;

/// <summary>
/// The boot sector of <c>Guests/selfcheck.asm</c>: it rewrites and checks its memory for ever, prints a dot per round and
/// <c>BAD address</c> per wrong page. It never prints <c>START</c> twice, so a restored guest whose log has it has booted afresh.
/// </summary>
public sealed record SelfCheckBoot : GuestBoot
{
    private const int LowerLimitOffset = 4;
    private const int UpperLimitOffset = 8;
    private const int SeedOffset = 12;

    /// <summary>32 million instructions a second, for which QEMU takes a tenth of a CPU.</summary>
    private static readonly IReadOnlyList<string> Pace = ["-icount", "shift=5,align=on"];

    private static readonly Lazy<byte[]> Sector = new(() => BootSector.Assemble("selfcheck.asm"));

    /// <summary>First MiB of guest-physical memory that is walked. At least 1: below lies the guest itself.</summary>
    public int LowerMiB { get; init; } = 1;

    /// <summary>MiB at which the walk ends, at most 3072; 0 walks all RAM below 4 GiB.</summary>
    public int UpperMiB { get; init; }

    /// <summary>0 writes 40 bytes to each page. Any other value fills every page with pseudo-random words first, for the price of a slower first round.</summary>
    public uint Seed { get; init; }

    /// <summary>As fast as QEMU goes, which takes a whole CPU, as it is with KVM in any case. Else some ten rounds a second over 100 MiB, which leaves a small machine to what is tested.</summary>
    public bool AtFullSpeed { get; init; }

    /// <inheritdoc/>
    public override LabNeeds Needs => LabNeeds.SelfCheckGuest;

    /// <inheritdoc/>
    public override bool IsReady(string serial) => Steps(serial) >= 2;

    /// <inheritdoc/>
    public override int Steps(string serial) => serial.AsSpan().Count('.');

    /// <inheritdoc/>
    public override string? Fault(string serial) => FirstLineWith(serial, "BAD");

    /// <summary>Guest-physical addresses that the guest found wrong, in the order of its reports.</summary>
    /// <param name="serial">Everything the guest printed.</param>
    [SuppressMessage("Performance", "CA1822:Mark members as static", Justification = "A question to the boot kind, as its siblings are.")]
    public IReadOnlyList<uint> BadPages(string serial)
    {
        var pages = new List<uint>();
        foreach (var line in serial.Split('\n'))
        {
            if (line.Length == "BAD ".Length + 8 && line.StartsWith("BAD ", StringComparison.Ordinal))
            {
                pages.Add(Convert.ToUInt32(line["BAD ".Length..], 16));
            }
        }

        return pages;
    }

    internal override async Task<IReadOnlyList<string>> PrepareAsync(string folder, bool kvm, CancellationToken cancellationToken)
    {
        if (LowerMiB < 1 || UpperMiB is < 0 or > 3072 || (UpperMiB != 0 && UpperMiB <= LowerMiB))
        {
            throw new ArgumentException($"The self-checking guest cannot walk from {LowerMiB} MiB to {UpperMiB} MiB.");
        }

        var boot = await BootSector.PrepareAsync(
            folder, Sector.Value, [(LowerLimitOffset, LowerMiB), (UpperLimitOffset, UpperMiB), (SeedOffset, (int)Seed)], kvm, cancellationToken);
        return AtFullSpeed || kvm ? boot : [.. boot, .. Pace];
    }
}

using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;

namespace DistMigrate.Tests.Lab;

/// <summary>
/// The boot sector of <c>Guests/selfcheck.asm</c>: it rewrites and checks its memory at full speed, prints a dot per round and
/// <c>BAD address</c> per wrong page. It never prints <c>START</c> twice, so a restored guest whose log has it has booted afresh.
/// </summary>
public sealed record SelfCheckBoot : GuestBoot
{
    private const int LowerLimitOffset = 4;
    private const int UpperLimitOffset = 8;
    private const int SeedOffset = 12;
    private const int FloppyBytes = 1440 * 1024;

    private static readonly Lazy<byte[]> Sector = new(Assemble);

    /// <summary>First MiB of guest-physical memory that is walked. At least 1: below lies the guest itself.</summary>
    public int LowerMiB { get; init; } = 1;

    /// <summary>MiB at which the walk ends, at most 3072; 0 walks all RAM below 4 GiB.</summary>
    public int UpperMiB { get; init; }

    /// <summary>0 writes 40 bytes to each page. Any other value fills every page with pseudo-random words first, for the price of a slower first round.</summary>
    public uint Seed { get; init; }

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

    internal override async Task<IReadOnlyList<string>> PrepareAsync(string folder, CancellationToken cancellationToken)
    {
        if (LowerMiB < 1 || UpperMiB is < 0 or > 3072 || (UpperMiB != 0 && UpperMiB <= LowerMiB))
        {
            throw new ArgumentException($"The self-checking guest cannot walk from {LowerMiB} MiB to {UpperMiB} MiB.");
        }

        var disk = new byte[FloppyBytes];
        Sector.Value.CopyTo(disk, 0);
        BinaryPrimitives.WriteInt32LittleEndian(disk.AsSpan(LowerLimitOffset), LowerMiB);
        BinaryPrimitives.WriteInt32LittleEndian(disk.AsSpan(UpperLimitOffset), UpperMiB);
        BinaryPrimitives.WriteUInt32LittleEndian(disk.AsSpan(SeedOffset), Seed);
        var path = Path.Combine(folder, "boot.img");
        if (!File.Exists(path))
        {
            await File.WriteAllBytesAsync(path, disk, cancellationToken);
        }

        // A floppy, because the firmware leaves a virtio or AHCI disk with queues in high memory, which the walk overwrites and the device
        // reads and writes again at every stop and cont. Read-only, so that a source and its target can both hold it.
        return
        [
            "-drive", $"if=none,id=boot,format=raw,readonly=on,file={QemuArguments.Escape(path)}",
            "-device", "isa-fdc,id=fdc",
            "-device", "floppy,bus=fdc.0,drive=boot",
        ];
    }

    private static byte[] Assemble()
    {
        var folder = Directory.CreateTempSubdirectory("dm-nasm-").FullName;
        try
        {
            var source = Path.Combine(folder, "selfcheck.asm");
            var binary = Path.Combine(folder, "selfcheck.bin");
            File.WriteAllBytes(source, LabResources.Bytes("selfcheck.asm"));
            LabPrograms.Run("nasm", "-f", "bin", "-o", binary, source);
            var sector = File.ReadAllBytes(binary);
            return sector.Length == 512
                ? sector
                : throw new InvalidOperationException($"nasm made a boot sector of {sector.Length} bytes instead of 512.");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}

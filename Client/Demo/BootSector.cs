using System.Buffers.Binary;

namespace DistMigrate.Client.Demo;

/// <summary>
/// The demo's guest: a boot sector that walks its memory for ever, checks in each round what it wrote in the one before, prints a
/// dot for a round and BAD for a page that is wrong.
/// </summary>
internal static class BootSector
{
    private const int FloppyBytes = 1_474_560;

    // Parameters of the program, as its source says: limits of the walk in MiB, and what to fill the pages with.
    private const int LowerOffset = 4;
    private const int UpperOffset = 8;
    private const int SeedOffset = 12;

    /// <summary>Assembles it into <paramref name="path"/>, a floppy; it walks from 1 MiB to <paramref name="upperMiB"/>.</summary>
    /// <exception cref="CommandException">The assembler failed.</exception>
    public static async Task AssembleAsync(string nasm, string path, int upperMiB, CancellationToken cancellation)
    {
        var source = Path.ChangeExtension(path, ".asm");
        await using (var resource = typeof(BootSector).Assembly.GetManifestResourceStream("selfcheck.asm")!)
        await using (var file = File.Create(source))
            await resource.CopyToAsync(file, cancellation);
        await DemoPrograms.OutputOfAsync(nasm, ["-f", "bin", "-o", path, source], cancellation);

        var floppy = new byte[FloppyBytes];
        (await File.ReadAllBytesAsync(path, cancellation)).CopyTo(floppy, 0);
        BinaryPrimitives.WriteInt32LittleEndian(floppy.AsSpan(LowerOffset), 1);
        BinaryPrimitives.WriteInt32LittleEndian(floppy.AsSpan(UpperOffset), upperMiB);
        BinaryPrimitives.WriteInt32LittleEndian(floppy.AsSpan(SeedOffset), 0x2545f491);
        await File.WriteAllBytesAsync(path, floppy, cancellation);
    }
}

using System.Buffers.Binary;

namespace DistMigrate.Tests.Lab;

/// <summary>A guest that is one boot sector on a floppy, or a kernel of that size, with parameters at given offsets of the sector.</summary>
internal static class BootSector
{
    private const int FloppyBytes = 1440 * 1024;

    /// <summary>Assembles a source that is a resource of this library.</summary>
    public static byte[] Assemble(string resource)
    {
        var folder = Directory.CreateTempSubdirectory("dm-nasm-").FullName;
        try
        {
            var source = Path.Combine(folder, resource);
            var binary = Path.Combine(folder, "boot.bin");
            File.WriteAllBytes(source, LabResources.Bytes(resource));
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

    /// <summary>Writes the floppy into a folder, unless another guest has it there, and returns the QEMU arguments that boot it, with KVM or without.</summary>
    public static async Task<IReadOnlyList<string>> PrepareAsync(
        string folder, byte[] sector, IEnumerable<(int Offset, int Value)> parameters, bool kvm, CancellationToken cancellationToken)
    {
        var disk = new byte[FloppyBytes];
        sector.CopyTo(disk, 0);
        foreach (var (offset, value) in parameters)
            BinaryPrimitives.WriteInt32LittleEndian(disk.AsSpan(offset), value);
        var path = Path.Combine(folder, "boot.img");
        if (!File.Exists(path))
            await File.WriteAllBytesAsync(path, disk, cancellationToken);

        // A KVM inside a virtual machine may be so slow that the firmware gives the floppy up.
        if (kvm)
            return ["-kernel", path];

        // A floppy, because the firmware leaves a virtio or AHCI disk with queues in high memory, which the walk overwrites and the device
        // reads and writes again at every stop and cont. Read-only, so that a source and its target can both hold it.
        return
        [
            "-drive", $"if=none,id=boot,format=raw,readonly=on,file={QemuArguments.Escape(path)}",
            "-device", "isa-fdc,id=fdc",
            "-device", "floppy,bus=fdc.0,drive=boot",
        ];
    }
}

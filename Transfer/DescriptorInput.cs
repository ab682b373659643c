using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>Reads an image through the descriptor that wrote it: its name may lead elsewhere, and .NET's own open would ask for our lock.</summary>
internal sealed class DescriptorInput(Descriptor file) : IImageInput
{
    public long Length { get; } = Libc.Identify(file).Length;

    public void ReadExactly(long offset, Span<byte> buffer) => Libc.PReadExactly(file, buffer, offset);

    public void Dispose()
    {
        // The descriptor belongs to the image file.
    }
}

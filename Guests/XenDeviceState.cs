using System.Buffers.Binary;
using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>
/// What <c>xen-save-devices-state</c> writes (QEMU migration/savevm.c): magic, version, device sections with footers, EOF.
/// QEMU's docs/xen-save-devices-state.txt leaves out the footers.
/// </summary>
internal static class XenDeviceState
{
    private const int HeaderLength = 8;

    /// <summary>The sections without header and EOF.</summary>
    /// <exception cref="GuestException">DeviceState: the bytes are of another shape.</exception>
    public static DeviceSections Strip(ReadOnlyMemory<byte> file)
    {
        var bytes = file.Span;
        if (bytes.Length < HeaderLength + 2 || bytes[^1] != StreamFormat.Eof
            || BinaryPrimitives.ReadUInt32BigEndian(bytes) != StreamFormat.FileMagic
            || BinaryPrimitives.ReadUInt32BigEndian(bytes[4..]) != StreamFormat.FileVersion
            || !PrecopyStream.AreSections(bytes[HeaderLength..^1]))
            throw new GuestException(GuestFault.DeviceState, $"What xen-save-devices-state wrote ({bytes.Length} bytes) is not device state: it was cut short, or this QEMU writes it differently.");
        return new DeviceSections(file[HeaderLength..^1], ReadOnlyMemory<byte>.Empty);
    }
}

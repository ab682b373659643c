using System.Buffers.Binary;
using System.Text;
using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Tests.Unit.Guests;

public sealed class PrecopyStreamTests
{
    private const uint RamId = 2;
    private static readonly byte[] Json = Encoding.UTF8.GetBytes("""{"configuration":{},"devices":[]}""");

    // The payload holds what looks like an EOF with a vmdescription behind it.
    private static readonly byte[] Sections = new StreamBytes().Byte(4).U32(0).Name("timer").U32(0).U32(2)
        .Raw([0, 6, 0, 0, 0, 1, (byte)'{', 0, 0]).Byte(0x7e).U32(0).ToArray();

    [Fact]
    public void Devices_and_vmdescription_come_out_as_they_were_sent()
    {
        var devices = Read(Good());
        Assert.Equal(Sections, devices.Sections.ToArray());
        Assert.Equal(Json, devices.VmDescription.ToArray());
    }

    [Fact]
    public void A_stream_without_vmdescription_gives_an_empty_one()
    {
        var devices = Read(UpToDevices().Raw(Sections).Byte(0));
        Assert.Equal(Sections, devices.Sections.ToArray());
        Assert.True(devices.VmDescription.IsEmpty);
    }

    [Fact]
    public void A_stream_that_is_cut_anywhere_is_refused()
    {
        var whole = Good().ToArray();
        for (var length = 0; length < whole.Length; length++)
        {
            // Cut exactly behind the EOF byte it is a whole stream without vmdescription.
            if (length == whole.Length - Json.Length - 5)
                continue;
            var e = Assert.Throws<GuestException>(() => PrecopyStream.Read(new MemoryStream(whole, 0, length)));
            Assert.Equal(GuestFault.DeviceState, e.Fault);
        }
    }

    [Fact]
    public void Bytes_that_arrive_one_by_one_are_read_the_same()
    {
        var devices = PrecopyStream.Read(new TrickleStream(Good().ToArray()));
        Assert.Equal(Sections, devices.Sections.ToArray());
        Assert.Equal(Json, devices.VmDescription.ToArray());
    }

    [Fact]
    public void An_early_section_is_refused_as_unsupported() =>
        Refused(GuestFault.Unsupported, Header().Byte(4).U32(9).Name("0000:00:02.0/virtio-mem-device-early").U32(0).U32(1));

    [Fact]
    public void A_section_between_start_and_end_is_refused_as_unsupported() =>
        Refused(GuestFault.Unsupported, Start().Byte(4).U32(9).Name("virtio-mem").U32(0).U32(1));

    [Fact]
    public void A_part_of_another_iterable_section_is_refused_as_unsupported() =>
        Refused(GuestFault.Unsupported, Start().Byte(2).U32(RamId + 1));

    [Fact]
    public void An_iterable_section_other_than_ram_is_refused_as_unsupported() =>
        Refused(GuestFault.Unsupported, Header().Byte(1).U32(3).Name("dirty-bitmap").U32(0).U32(1));

    [Fact]
    public void A_page_outside_its_RAMBlock_is_refused() =>
        Refused(GuestFault.DeviceState, Start().Byte(2).U32(RamId).U64(0x2000 | 0x08).Name("pc.bios").Raw(new byte[4096]));

    [Fact]
    public void A_page_of_an_unknown_RAMBlock_is_refused() =>
        Refused(GuestFault.DeviceState, Start().Byte(2).U32(RamId).U64(0x08).Name("pc.rom").Raw(new byte[4096]));

    [Fact]
    public void A_continued_page_without_a_first_one_is_refused() =>
        Refused(GuestFault.DeviceState, Start().Byte(2).U32(RamId).U64(0x08 | 0x20).Raw(new byte[4096]));

    [Fact]
    public void A_flag_that_was_not_asked_for_is_refused() =>
        Refused(GuestFault.DeviceState, Start().Byte(2).U32(RamId).U64(0x40).Name("pc.ram").Raw(new byte[4096]));

    [Fact]
    public void A_wrong_footer_is_refused() =>
        Refused(GuestFault.DeviceState, Start().Byte(2).U32(RamId).U64(0x10).Byte(0x7e).U32(RamId + 1));

    [Fact]
    public void A_list_of_RAMBlocks_that_does_not_add_up_is_refused() =>
        Refused(GuestFault.DeviceState, Header().Byte(1).U32(RamId).Name("ram").U32(0).U32(4).U64(0x1000 | 4).Name("pc.ram").U64(0x2000).U64(0));

    [Fact]
    public void A_capability_that_was_not_asked_for_is_refused() =>
        Refused(GuestFault.DeviceState, new StreamBytes().U32(0x5145564d).U32(3).Byte(7).U32(1).Raw("q"u8.ToArray())
            .Byte(5).Name("configuration/capabilities").U32(1).U32(1).Name("mapped-ram"));

    [Fact]
    public void Another_magic_is_refused() => Refused(GuestFault.DeviceState, new StreamBytes().U32(0x7f454c46).U32(3));

    [Fact]
    public void What_xen_save_devices_state_writes_loses_header_and_end()
    {
        var file = new StreamBytes().U32(0x5145564d).U32(3).Raw(Sections).Byte(0).ToArray();
        var devices = XenDeviceState.Strip(file);
        Assert.Equal(Sections, devices.Sections.ToArray());
        Assert.True(devices.VmDescription.IsEmpty);
    }

    [Fact]
    public void A_file_of_xen_save_devices_state_that_is_cut_anywhere_is_refused()
    {
        var file = new StreamBytes().U32(0x5145564d).U32(3).Raw(Sections).Byte(0).ToArray();
        for (var length = 0; length < file.Length; length++)
            Assert.Equal(GuestFault.DeviceState, Assert.Throws<GuestException>(() => XenDeviceState.Strip(file.AsMemory(0, length))).Fault);
    }

    private static StreamBytes Header() => new StreamBytes().U32(0x5145564d).U32(3)
        .Byte(7).U32(11).Raw("pc-q35-10.0"u8.ToArray())
        .Byte(5).Name("configuration/capabilities").U32(1).U32(1).Name("x-ignore-shared")
        .Byte(5).Name("configuration/uuid").U32(1).Raw(new byte[16])
        .Byte(8).U16(2).U16(4).U32(1);

    private static StreamBytes Start() => Header()
        .Byte(1).U32(RamId).Name("ram").U32(0).U32(4).U64(0x4000 | 4)
        .Name("pc.ram").U64(0x2000).U64(0)
        .Name("pc.bios").U64(0x2000).U64(0xfffc0000)
        .U64(0x10).Byte(0x7e).U32(RamId);

    private static StreamBytes UpToDevices() => Start()
        .Byte(2).U32(RamId)
        .U64(0x0000 | 0x08).Name("pc.bios").Raw([.. Enumerable.Repeat((byte)0x7e, 4096)])
        .U64(0x1000 | 0x02 | 0x20).Byte(0)
        .U64(0x10).Byte(0x7e).U32(RamId)
        .Byte(2).U32(RamId).U64(0x1000 | 0x08 | 0x20).Raw(new byte[4096]).U64(0x10).Byte(0x7e).U32(RamId)
        .Byte(8).U16(11).U16(0)
        .Byte(3).U32(RamId).U64(0x10).Byte(0x7e).U32(RamId);

    private static StreamBytes Good() => UpToDevices().Raw(Sections).Byte(0).Byte(6).U32((uint)Json.Length).Raw(Json);

    private static DeviceSections Read(StreamBytes bytes) => PrecopyStream.Read(new MemoryStream(bytes.ToArray()));

    private static void Refused(GuestFault fault, StreamBytes bytes)
    {
        // What follows keeps the refusal from being that of a stream that merely ends.
        var e = Assert.Throws<GuestException>(() => Read(bytes.Raw(new byte[8192])));
        Assert.Equal(fault, e.Fault);
        Assert.DoesNotContain("stream ends after", e.Message, StringComparison.Ordinal);
    }

    private sealed class StreamBytes
    {
        private readonly List<byte> _bytes = [];

        public byte[] ToArray() => [.. _bytes];

        public StreamBytes Raw(byte[] bytes)
        {
            _bytes.AddRange(bytes);
            return this;
        }

        public StreamBytes Byte(byte value) => Raw([value]);

        public StreamBytes Name(string name) => Byte((byte)name.Length).Raw(Encoding.UTF8.GetBytes(name));

        public StreamBytes U16(ushort value)
        {
            var bytes = new byte[2];
            BinaryPrimitives.WriteUInt16BigEndian(bytes, value);
            return Raw(bytes);
        }

        public StreamBytes U32(uint value)
        {
            var bytes = new byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
            return Raw(bytes);
        }

        public StreamBytes U64(ulong value)
        {
            var bytes = new byte[8];
            BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
            return Raw(bytes);
        }
    }

    private sealed class TrickleStream(byte[] bytes) : MemoryStream(bytes)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            base.ReadAsync(buffer[..1], cancellationToken);
    }
}

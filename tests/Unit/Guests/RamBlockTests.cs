using System.Globalization;
using CsCheck;
using DistMigrate.Guests;

namespace DistMigrate.Tests.Unit.Guests;

public sealed class RamBlockTests
{
    private const string Heading = "              Block Name    PSize              Offset               Used              Total                HVA  RO\n";

    [Fact]
    public void The_list_of_a_real_guest_is_read()
    {
        var blocks = RamBlock.Parse(Heading
            + "                  pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000 0x00007f5337fff000  rw\n"
            + "    /rom@etc/acpi/tables    4 KiB  0x0000000008080000 0x0000000000020000 0x0000000000200000 0x00007f5337200000  ro\n"
            + "                 pc.bios    2 MiB  0x0000000008000000 0x0000000000040000 0x0000000000040000 0x00007f5384600000  ro\n\n");
        Assert.Equal(
            [
                new RamBlock("pc.ram", 128 << 20, 128 << 20, 4096, 0x7f5337fff000, false),
                new RamBlock("/rom@etc/acpi/tables", 0x20000, 0x200000, 4096, 0x7f5337200000, true) { RamAddress = 0x8080000 },
                new RamBlock("pc.bios", 0x40000, 0x40000, 2 << 20, 0x7f5384600000, true) { RamAddress = 0x8000000 },
            ],
            blocks);
    }

    [Fact]
    public void A_name_that_overflows_its_column_is_read_and_a_nameless_block_is_left_out()
    {
        var blocks = RamBlock.Parse(Heading
            + "0000:00:01.0/0000:01:00.0/0000:02:00.0/virtio-net-pci.rom    4 KiB  0x0 0x40000 0x40000 0x7f5337200000  ro\n"
            + "                            4 KiB  0x0000000000000000 0x0000000000001000 0x0000000000001000 0x00007f5337200000  rw\n");
        Assert.Equal("0000:00:01.0/0000:01:00.0/0000:02:00.0/virtio-net-pci.rom", Assert.Single(blocks).Name);
    }

    [Theory]
    [InlineData("")]
    [InlineData("unknown command: 'x-query-ramblock'")]
    [InlineData(Heading + "pc.ram 4 KiB 0x0 0x1000 0x1000 rw")]
    [InlineData(Heading + "pc.ram 4 KiB 0x0 0x1001 0x2000 0x7f5337200000 rw")]
    [InlineData(Heading + "pc.ram 4 KiB 0x0 0x2000 0x1000 0x7f5337200000 rw")]
    [InlineData(Heading + "pc.ram 4 XiB 0x0 0x1000 0x1000 0x7f5337200000 rw")]
    [InlineData(Heading + "pc.ram 4 KiB 0x0 0x1000 0x1000 0x7f5337200000 wr")]
    [InlineData(Heading + "pc.ram 4 KiB 0x0 0xfffffffffffff000 0xfffffffffffff000 0x7f5337200000 rw")]
    [InlineData(Heading + "a 4 KiB 0x0 0x1000 0x1000 0x7f5337200000 rw\na 4 KiB 0x0 0x1000 0x1000 0x7f5337200000 rw")]
    public void Another_text_is_refused(string text) =>
        Assert.Equal(GuestFault.CommandFailed, Assert.Throws<GuestException>(() => RamBlock.Parse(text)).Fault);

    [Fact]
    public void Every_block_that_QEMU_can_print_is_read_back()
    {
        var name = Gen.Char["abcz/@.:-_019"].Array[1, 60].Select(c => new string(c));
        Gen.Select(name, Gen.Long[0, 1L << 30], Gen.Long[0, 1L << 20], Gen.ULong[1, 1UL << 35], Gen.Bool).Sample((id, used, more, address, readOnly) =>
        {
            var block = new RamBlock(id, used * 4096, (used + more) * 4096, 1 << 30, address * 4096, readOnly);
            var line = string.Format(CultureInfo.InvariantCulture, "{0,24} {1,8}  0x{2:x16} 0x{3:x16} 0x{4:x16} 0x{5:x16} {6,3}\n",
                id, "1 GiB", 0, block.UsedLength, block.MaxLength, block.HostAddress, readOnly ? "ro" : "rw");
            return RamBlock.Parse(Heading + line).Single() == block;
        });
    }
}

using DistMigrate.Contracts;
using DistMigrate.Grains;

namespace DistMigrate.Tests.Unit.Grains;

public sealed class GrainKeysTests
{
    [Theory]
    [InlineData("pc.ram")]
    [InlineData("0000:00:02.0/vga.vram")]
    [InlineData("/rom@etc/acpi/tables")]
    [InlineData("a//b/")]
    public void A_key_of_a_block_gives_its_parts_back_whatever_the_blocks_name(string ramBlock)
    {
        var key = GrainKeys.RamBlock("host-a", "vm1", ramBlock);
        Assert.Equal(("host-a", "vm1", ramBlock), GrainKeys.ParseRamBlock(key));
        Assert.Equal("host-a", GrainKeys.HostOf(key));
    }

    [Fact]
    public void A_key_on_a_host_gives_its_parts_back()
    {
        Assert.Equal(("host-a", "m1"), GrainKeys.ParseOnHost(GrainKeys.OnHost("host-a", "m1")));
        Assert.Equal("host-a", GrainKeys.HostOf("host-a"));
    }

    [Fact]
    public void What_is_not_a_key_is_refused()
    {
        Assert.Throws<ArgumentException>(() => GrainKeys.ParseOnHost("host-a"));
        Assert.Throws<ArgumentException>(() => GrainKeys.ParseRamBlock("host-a/vm1"));
    }

    [Theory]
    [InlineData("a")]
    [InlineData("vm-1_x.Y")]
    [InlineData("0123456789012345678901234567890123456789012345678901234567890123")]
    public void A_name_of_letters_digits_dots_dashes_and_underscores_is_taken(string name) => GrainKeys.CheckName("guest", name);

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("..")]
    [InlineData(".hidden")]
    [InlineData("-option")]
    [InlineData("a/b")]
    [InlineData("a b")]
    [InlineData("a\n")]
    [InlineData("a\0")]
    [InlineData("ä")]
    [InlineData("01234567890123456789012345678901234567890123456789012345678901234")]
    public void A_name_that_could_not_be_part_of_a_key_or_a_file_name_is_refused(string? name) =>
        Assert.Equal(FailureReason.InvalidRequest, Assert.Throws<MigrationException>(() => GrainKeys.CheckName("guest", name)).Reason);
}

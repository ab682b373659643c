using DistMigrate.Guests;

namespace DistMigrate.Tests.Unit.Guests;

public sealed class ProcessMappingTests
{
    [Fact]
    public void A_shared_file_is_read_with_its_path()
    {
        var mapping = ProcessMapping.Parse("7f5337fff000-7f533ffff000 rw-s 00001000 00:1b 2                          /dev/shm/a guest's RAM (deleted)");
        Assert.Equal(new ProcessMapping(0x7f5337fff000, 0x7f533ffff000, true, 0x1000, "00:1b", 2, "/dev/shm/a guest's RAM (deleted)"), mapping);
        Assert.Equal("7f5337fff000-7f533ffff000", mapping.MapFilesName);
    }

    [Fact]
    public void Anonymous_memory_has_no_path()
    {
        var mapping = ProcessMapping.Parse("7f5337fff000-7f533ffff000 rw-p 00000000 00:00 0 ");
        Assert.True(mapping.IsAnonymous);
        Assert.Equal("", mapping.Path);
    }

    [Theory]
    [InlineData("")]
    [InlineData("7f5337fff000 rw-p 00000000 00:00 0")]
    [InlineData("2000-1000 rw-p 00000000 00:00 0")]
    [InlineData("1000-2000 rw 00000000 00:00 0")]
    [InlineData("1000-2000 rw-p 00000000 00:00 x")]
    public void Another_line_is_refused(string line) => Assert.Throws<FormatException>(() => ProcessMapping.Parse(line));

    [Fact]
    public void A_range_is_covered_only_without_a_gap()
    {
        ProcessMapping[] mappings = [Map(0x1000, 0x3000, 0), Map(0x3000, 0x5000, 0x2000), Map(0x6000, 0x8000, 0x5000)];
        Assert.Equal(2, ProcessMapping.Covering(mappings, 0x2000, 0x2000).Count);
        Assert.Single(ProcessMapping.Covering(mappings, 0x1000, 0x2000));
        Assert.Empty(ProcessMapping.Covering(mappings, 0x4000, 0x3000));
        Assert.Empty(ProcessMapping.Covering(mappings, 0x7000, 0x2000));
        Assert.Empty(ProcessMapping.Covering(mappings, 0x0, 0x2000));
    }

    [Fact]
    public void One_shared_file_is_contiguous_in_the_file_as_well()
    {
        Assert.True(ProcessMapping.IsOneSharedFile([Map(0x1000, 0x3000, 0x4000), Map(0x3000, 0x5000, 0x6000)]));
        Assert.False(ProcessMapping.IsOneSharedFile([Map(0x1000, 0x3000, 0x4000), Map(0x3000, 0x5000, 0x7000)]));
        Assert.False(ProcessMapping.IsOneSharedFile([Map(0x1000, 0x3000, 0x4000), Map(0x3000, 0x5000, 0x6000) with { Inode = 8 }]));
        Assert.False(ProcessMapping.IsOneSharedFile([Map(0x1000, 0x3000, 0) with { Shared = false }]));
        Assert.False(ProcessMapping.IsOneSharedFile([Map(0x1000, 0x3000, 0) with { Inode = 0 }]));
    }

    [Fact]
    public void The_start_time_is_found_behind_any_process_name() =>
        Assert.Equal(186977, ProcessFiles.ParseStartTime(
            "12265 (qemu) S (1 x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 0 186977 19 20\n"));

    [Fact]
    public void A_monitor_is_known_by_its_accepted_socket()
    {
        string[] table =
        [
            "Num       RefCount Protocol Flags    Type St Inode Path",
            "0000000000000000: 00000002 00000000 00010000 0001 01 100 /run/a/q.sock",
            "0000000000000000: 00000003 00000000 00000000 0001 03 101 /run/a/q.sock",
            "0000000000000000: 00000003 00000000 00000000 0001 03 102 a/q.sock",
            "0000000000000000: 00000003 00000000 00000000 0001 03 103 /run/b/q.sock",
            "0000000000000000: 00000003 00000000 00000000 0001 03 104",
        ];
        Assert.Equal([101UL, 102UL], MonitorOwner.AcceptedInodes(table, "/run/a/q.sock"));
    }

    private static ProcessMapping Map(ulong start, ulong end, long offset) => new(start, end, true, offset, "00:1b", 7, "/dev/shm/ram");
}

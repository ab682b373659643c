using DistMigrate.Grains;

namespace DistMigrate.Tests.Unit.Grains;

public sealed class HostMemoryTests
{
    [Fact]
    public void This_machine_tells() => Assert.InRange(HostMemory.ReadAvailable() ?? 0, 1, long.MaxValue);

    [Theory]
    [InlineData("MemTotal: 9 kB\nMemAvailable:    8048 kB\nBuffers: 1 kB", 8048L * 1024)]
    [InlineData("MemTotal: 9 kB", null)]
    [InlineData("MemAvailable: many kB", null)]
    [InlineData("MemAvailable: -1 kB", null)]
    [InlineData("MemAvailable: 8048", null)]
    [InlineData("MemAvailable: 9223372036854775807 kB", null)]
    public void What_cannot_be_read_is_not_known(string meminfo, long? bytes) => Assert.Equal(bytes, HostMemory.ParseAvailable(meminfo.Split('\n')));
}

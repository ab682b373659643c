using DistMigrate.Guests;

namespace DistMigrate.Tests.Unit.Guests;

/// <summary>The arguments of a QEMU whose memory is a mapping of an image.</summary>
public sealed class MappedMemoryTests
{
    private const string Image = "/images/a,b.img";
    private const string Backend = "memory-backend-file,id={0},size=67108864,mem-path=/images/a,,b.img,offset=1048576,share=off,readonly=on,rom=off";

    [Theory]
    [InlineData("memory-backend-file,id=pc.ram,size=64M,mem-path=/dev/shm/x,share=on")]
    [InlineData("memory-backend-memfd,share=on,size=64M,id=pc.ram")]
    [InlineData("qom-type=memory-backend-ram,id=pc.ram,size=64M")]
    [InlineData("""{"qom-type":"memory-backend-memfd","id":"pc.ram","size":67108864}""")]
    public void A_backend_is_replaced(string backend) => Assert.Equal(
        ["qemu", "-machine", "q35,memory-backend=pc.ram", "-object", Of("pc.ram"), "-m", "64"],
        Map("pc.ram", "qemu", "-machine", "q35,memory-backend=pc.ram", "-object", backend, "-m", "64"));

    [Fact]
    public void Memory_without_a_backend_gets_one() => Assert.Equal(
        ["qemu", "-object", Of("pc.ram"), "-machine", "q35,memory-backend=pc.ram", "-m", "64"],
        Map("pc.ram", "qemu", "-machine", "q35", "-m", "64", "-mem-path", "/dev/hugepages", "-mem-prealloc"));

    [Fact]
    public void A_machine_that_is_not_named_keeps_its_default() => Assert.Equal(
        ["qemu", "-object", Of("pc.ram"), "-machine", "memory-backend=pc.ram", "-m", "64"], Map("pc.ram", "qemu", "-m", "64"));

    [Fact]
    public void The_backend_of_a_memory_device_is_found_by_its_id() => Assert.Equal(
        ["qemu", "-object", Of("mem1"), "-device", "pc-dimm,memdev=mem1"],
        Map("/objects/mem1", "qemu", "-object", "memory-backend-ram,id=mem1,size=64M", "-device", "pc-dimm,memdev=mem1"));

    [Fact]
    public void Memory_of_a_device_itself_is_refused() =>
        Assert.Contains("--lazy", Assert.Throws<GuestException>(() => Map("0000:00:02.0/ivshmem", "qemu", "-m", "64")).Message, StringComparison.Ordinal);

    [Fact]
    public void Files_of_memory_that_is_mapped_are_nobodys_any_more()
    {
        var plan = Plan("qemu", "-object", "memory-backend-file,id=pc.ram,size=64M,mem-path=/dev/shm/x") with { MemoryFiles = ["/dev/shm/x"] };
        Assert.Empty(plan.Mapping(Image, [Block("pc.ram")]).MemoryFiles);
    }

    private static string Of(string id) => Backend.Replace("{0}", id, StringComparison.Ordinal);

    private static MappedBlock Block(string name) => new(name, 64 << 20, 1 << 20);

    private static LaunchPlan Plan(params string[] arguments) => new()
    {
        Arguments = arguments,
        MemoryFiles = [],
        Sockets = [],
        Pipes = [],
        KeptMemoryPaths = [],
        UsesHugePages = false,
    };

    private static IReadOnlyList<string> Map(string block, params string[] arguments) => Plan(arguments).Mapping(Image, [Block(block)]).Arguments;
}

using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>A Debian kernel that prints the checksum of a tmpfs file for ever.</summary>
public sealed class LinuxGuestTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    [RequiresQemuTheory(LabNeeds.LinuxGuest)]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Memfd)]
    [InlineData(MemoryKind.Private)]
    public async Task A_running_guest_is_saved_and_a_stock_QEMU_loads_it_in_each_way_and_its_tmpfs_is_whole(MemoryKind memory)
    {
        var recipe = new GuestRecipe { Memory = memory, MiB = 256, Boot = new LinuxBoot { FileMiB = 16 } };
        await RoundTrip.RunAsync(product, recipe, steps: 2, (before, after) =>
        {
            var (sum, counter) = LinuxBoot.Newest(before)!.Value;
            var (sumAfter, counterAfter) = LinuxBoot.Newest(after)!.Value;
            Assert.Equal(sum, sumAfter);
            Assert.True(counterAfter > counter, $"The counter was {counter} and is {counterAfter}.");
            Assert.DoesNotContain("READY", after, StringComparison.Ordinal);
        });
    }
}

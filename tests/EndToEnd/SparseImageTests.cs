using System.Diagnostics;
using System.Globalization;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>A guest that uses little of its memory.</summary>
public sealed class SparseImageTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Memfd)]
    [InlineData(MemoryKind.Private)]
    public async Task A_sparse_guest_gives_a_sparse_image_and_stays_sparse_itself(MemoryKind memory)
    {
        var image = product.Image($"{memory}.image");
        await using var source = await QemuProcess.StartAsync(new GuestRecipe { Memory = memory, MiB = 1024, Boot = new SelfCheckBoot { UpperMiB = 20 } });
        await source.WaitUntilReadyAsync();
        await source.PauseAsync();
        var used = UsedBytes(source);
        await product.SaveAsync(source, image);
        Assert.InRange(UsedBytes(source), 0, used + (8 << 20));

        var blocks = ImageOracle.Layout(image);
        var present = blocks.Sum(block => (long)ImageOracle.PagesPresent(image, block.Name).Count) * 4096;
        Assert.InRange(present, 19 << 20, 40 << 20);
        Assert.True(new FileInfo(image).Length > 1L << 30);
        var allocated = AllocatedBytes(image);
        Assert.InRange(allocated, present, present + (blocks.Count << 20));
        Assert.Equal(
            allocated,
            (await product.RunAsync("inspect", image, "--output", "json")).ExpectOk().Json.GetProperty("allocated-bytes").GetInt64());
        GuestMemoryOracle.AssertEqual(await GuestMemoryOracle.CaptureAsync(source), ImageOracle.Capture(image));
    }

    private static long AllocatedBytes(string path)
    {
        using var stat = Process.Start(new ProcessStartInfo("stat", ["--dereference", "--format=%b", path]) { RedirectStandardOutput = true })!;
        return long.Parse(stat.StandardOutput.ReadToEnd(), CultureInfo.InvariantCulture) * 512;
    }

    // Reading a hole in the wrong way fills it: in the file where memory is one, in the process where it is not.
    private static long UsedBytes(QemuProcess guest)
    {
        using var process = Process.GetProcessById(guest.Pid);
        return guest.Recipe.Memory switch
        {
            MemoryKind.SharedFile => AllocatedBytes(Path.Combine(guest.MemoryFolder, "pc.ram")),
            MemoryKind.Memfd => AllocatedBytes(Directory.EnumerateFiles($"/proc/{guest.Pid}/fd").First(IsGuestMemory)),
            _ => process.WorkingSet64,
        };

        static bool IsGuestMemory(string descriptor) =>
            new FileInfo(descriptor).LinkTarget is { } name && name.StartsWith("/memfd:", StringComparison.Ordinal);
    }
}

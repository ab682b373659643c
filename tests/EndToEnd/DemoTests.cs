using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>The demonstration, as a person runs it.</summary>
public sealed class DemoTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    [RequiresQemuFact]
    public async Task The_demo_ends_by_saying_what_it_has_proven()
    {
        var demo = (await product.RunAsync("demo", "--memory", "64MiB")).ExpectOk();
        var last = demo.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)[^1];
        Assert.Matches("^OK: guest saved .*, loaded by QEMU .*, [0-9,. ]+ pages equal, guest running on", last);
    }
}

using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

public sealed class TraceTests
{
    [RequiresQemuFact]
    public async Task A_save_is_one_trace_of_phases_and_steps_and_its_log_lines_tell_whose_they_are()
    {
        await using var receiver = OtlpReceiver.Start();
        await using var product = new ProductUnderTest
        {
            Settings = { ["DISTMIGRATE_Otlp__Endpoint"] = receiver.Endpoint, ["DISTMIGRATE_Otlp__Protocol"] = "HttpProtobuf", ["DISTMIGRATE_Host"] = "host-a" },
        };
        await using var source = await QemuProcess.StartAsync(new GuestRecipe { MiB = 32, Boot = new SelfCheckBoot { Seed = 8, UpperMiB = 24 } });
        await source.WaitUntilReadyAsync();
        var id = (await product.SaveAsync(source, product.Image("traced.image"))).GetProperty("id").GetString()!;

        // What has ended is sent every five seconds.
        IReadOnlyList<OtlpSpan> spans = [];
        await Wait.UntilAsync(
            () =>
            {
                spans = receiver.Spans;
                return spans.Any(span => span.Name == "migration") && spans.Any(span => span.Name == "image");
            },
            "the trace came",
            details: () => string.Join(", ", spans.Select(span => span.Name)) + product.SiloLog);

        var root = Assert.Single(spans, span => span.Name == "migration");
        Assert.Equal("", root.Parent);
        Assert.Contains(id, root.Texts);
        Assert.Contains("completed", root.Texts);
        Assert.All(spans, span => Assert.Equal(root.Trace, span.Trace));
        var phases = spans.Where(span => span.Name.StartsWith("phase ", StringComparison.Ordinal)).ToList();
        Assert.Equal(["phase active", "phase device", "phase queued", "phase setup"], phases.Select(phase => phase.Name).Order());
        Assert.All(phases, phase => Assert.Equal(root.Id, phase.Parent));
        foreach (var step in new[] { "step open", "step stopguest", "step takedevicestate", "step publish" })
            Assert.Contains(phases, phase => phase.Id == Assert.Single(spans, span => span.Name == step).Parent);
        Assert.Contains("fsync", Assert.Single(spans, span => span.Name == "image").Events);

        var ended = Assert.Single(product.SiloLog.Split('\n'), line => line.Contains($"Migration {id} Completed", StringComparison.Ordinal));
        Assert.EndsWith($"[host=host-a migration={id} guest={ProductCommands.GuestName}]", ended.TrimEnd(), StringComparison.Ordinal);
    }
}

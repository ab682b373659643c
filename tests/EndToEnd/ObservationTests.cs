using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>What can be seen of a save, while it runs and afterwards.</summary>
public sealed class ObservationTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    private static readonly GuestRecipe Recipe = new() { MiB = 32, Boot = new SelfCheckBoot { Seed = 5, UpperMiB = 24 } };

    // At most so many zero pages between two others are written with them, as one.
    private const int LongestGap = 16;

    [RequiresQemuFact]
    public async Task The_silo_counts_every_page_in_one_state_while_it_saves_and_every_byte_afterwards()
    {
        var image = product.Image("counted.image");
        await using var source = await QemuProcess.StartAsync(Recipe);
        await source.WaitUntilReadyAsync();
        var pagesOf = (await RamBlock.ListAsync(source)).ToDictionary(block => block.Name, block => block.UsedLength / 4096);

        // Starts the silo; an earlier test's save of this class counts as well.
        (await product.RunAsync("list")).ExpectOk();
        var before = await ScrapeAsync();

        // About three seconds of writing.
        var save = product.SaveAsync(source, image, "--bwlimit", "8MiB/s");
        var scrapes = new List<IReadOnlyList<PrometheusText>>();
        await Wait.UntilAsync(
            async () =>
            {
                Assert.Equal("ok\n", await product.GetAsync("/healthz"));
                if (Of(await ScrapeAsync(), "distmigrate_ramblock_pages") is { Count: > 0 } pages)
                    scrapes.Add(pages);
                return save.IsCompleted;
            },
            "the save has ended",
            details: () => product.SiloLog);
        var id = (await save).GetProperty("id").GetString()!;

        Assert.True(scrapes.Count > 5, $"Only {scrapes.Count} scrapes fell into the save.");
        foreach (var scrape in scrapes)
        {
            Assert.All(scrape, sample => Assert.True(sample.Is("guest", ProductCommands.GuestName)));
            foreach (var block in scrape.GroupBy(sample => sample.Labels["ramblock"]))
            {
                Assert.Equal(["dirty", "durable", "in_flight", "written"], block.Select(sample => sample.Labels["state"]).Order());
                Assert.Equal(pagesOf[block.Key], block.Sum(sample => sample.Value));
            }
        }

        Assert.Contains(scrapes, scrape => scrape.Any(sample => sample.Is("ramblock", "pc.ram") && sample.Is("state", "in_flight") && sample.Value > 0));

        // The coordinator counts a migration once its end is recorded, and the endpoint answers from a cache for a moment.
        var after = before;
        await Wait.UntilAsync(
            async () =>
            {
                after = await ScrapeAsync();
                return Increase("distmigrate_migrations_total", "result", "completed") > 0;
            },
            "the migration is counted");
        foreach (var block in pagesOf.Keys)
        {
            var present = ImageOracle.PagesPresent(image, block);
            var gaps = present.Zip(present.Skip(1)).Sum(pair => pair.Second - pair.First is > 1 and <= LongestGap + 1 ? pair.Second - pair.First - 1 : 0);
            Assert.InRange(Increase("distmigrate_block_written_bytes_total", "ramblock", block), present.Count * 4096L, (present.Count + gaps) * 4096L);
        }

        Assert.Equal(1, Increase("distmigrate_migrations_total", "result", "completed"));
        Assert.Equal(0, Increase("distmigrate_migrations_total", "result", "failed"));
        Assert.Equal(0, Increase("distmigrate_block_writes_total", "result", "error"));
        Assert.True(Increase("distmigrate_block_writes_total", "operation", "pwrite") > 0);
        Assert.True(Increase("distmigrate_block_write_duration_seconds_count", "operation", "fsync") > 0);
        var ended = Assert.Single(Of(after, "distmigrate_migration_info"), info => info.Is("migration_id", id));
        Assert.Equal(("completed", "stopped", "save"), (ended.Labels["result"], ended.Labels["mode"], ended.Labels["kind"]));
        Assert.DoesNotContain(after, sample => sample.Labels.ContainsKey("otel_metric_overflow"));
        Assert.Equal("ok\n", await product.GetAsync("/healthz"));

        double Increase(string name, string label, string value) => Sum(after, name, label, value) - Sum(before, name, label, value);
    }

    [RequiresQemuFact]
    public async Task Status_answers_while_the_save_runs_and_watch_follows_it_to_its_end_and_list_keeps_it()
    {
        await using var source = await QemuProcess.StartAsync(Recipe);
        await source.WaitUntilReadyAsync();
        var image = product.Image("watched.image");

        // Far more time than the test takes, however slow the machine is.
        var id = await product.BeginSaveAsync(source, image, "--bwlimit", "128KiB/s");
        await product.WaitForStatusAsync(
            id,
            status => status.GetProperty("phase").GetString() == "active" && status.GetProperty("ram") is var ram
                && ram.GetProperty("normal").GetInt64() > 0 && ram.GetProperty("remaining").GetInt64() > 0,
            "the status shows an active save with pages written and pages left");

        var watch = product.RunAsync("watch", id);
        (await product.RunAsync("cancel", id)).ExpectOk();
        (await watch).ExpectExit(5);
        Assert.Equal("cancelled", (await product.StatusAsync(id)).GetProperty("phase").GetString());
        var listed = (await product.RunAsync("list", "--output", "json")).ExpectOk().Json.GetProperty("migrations").EnumerateArray();
        var entry = Assert.Single(listed, entry => entry.GetProperty("id").GetString() == id);
        Assert.Equal(image, entry.GetProperty("image").GetString());
        Assert.Equal("cancelled", entry.GetProperty("phase").GetString());
    }

    [RequiresQemuFact]
    public async Task A_guest_of_the_host_is_seen_running_and_standing_still_while_nothing_else_uses_its_monitor()
    {
        await using var guest = await QemuProcess.StartAsync(Recipe);
        await guest.WaitUntilReadyAsync();
        await using var own = new ProductUnderTest { Settings = { ["DISTMIGRATE_Guests__seen"] = guest.QmpSocket } };
        (await own.RunAsync("list")).ExpectOk();
        await WaitForRunningAsync(1);
        (await own.RunAsync("save", "seen", own.Image("seen.image"))).ExpectOk();
        await WaitForRunningAsync(0);

        Task WaitForRunningAsync(double value)
        {
            IReadOnlyList<PrometheusText> scrape = [];
            return Wait.UntilAsync(
                async () =>
                {
                    scrape = PrometheusText.Parse(await own.GetAsync("/metrics"));
                    return Of(scrape, "distmigrate_guest_running") is [var seen] && seen.Is("guest", "seen") && seen.Value == value;
                },
                $"the guest is seen with {value}",
                details: () => string.Join(", ", Of(scrape, "distmigrate_guest_running")) + own.SiloLog);
        }
    }

    private static List<PrometheusText> Of(IReadOnlyList<PrometheusText> scrape, string name) => [.. scrape.Where(sample => sample.Name == name)];

    private static double Sum(IReadOnlyList<PrometheusText> scrape, string name, string label, string value) =>
        Of(scrape, name).Where(sample => sample.Is(label, value)).Sum(sample => sample.Value);

    private async Task<IReadOnlyList<PrometheusText>> ScrapeAsync() => PrometheusText.Parse(await product.GetAsync("/metrics"));
}

using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

public sealed class StatusPageTests
{
    [RequiresQemuFact(LabNeeds.SelfCheckGuest | LabNeeds.Redis)]
    public async Task Every_silo_shows_every_block_and_says_since_when_a_host_does_not_answer()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        var (asked, victim) = (cluster.Hosts[0], cluster.Hosts[1]);
        await using var guest = await ClusterUnderTest.StartGuestAsync();
        var id = await cluster.SubmitSaveAsync(victim.Name, guest, cluster.Image("vm1.img"), "256KiB/s");
        await cluster.WaitUntilCopyingAsync(id);
        await Wait.UntilAsync(
            async () => (await DetailAsync()).GetProperty("blocks").EnumerateArray().Any(
                block => block.TryGetProperty("map", out var map) && map.GetProperty("dirty").EnumerateArray().Any(cell => cell.GetInt64() > 0)),
            "another silo shows where the guest's pages are",
            details: () => cluster.Log);

        var before = TimeProvider.System.GetUtcNow();
        victim.Stall();
        JsonElement overview = default;
        await Wait.UntilAsync(
            async () =>
            {
                overview = await asked.GetAsync("/api/overview");
                return Silent(overview, $"host {victim.Name}") is not null || StateOf(overview, victim.Name) == "down";
            },
            "the page names the host that does not answer",
            details: () => $"{overview}\n{cluster.Log}");
        if (Silent(overview, $"host {victim.Name}") is { } silence)
        {
            Assert.InRange(silence.GetProperty("since").GetDateTimeOffset(), before, TimeProvider.System.GetUtcNow());
            Assert.True(silence.GetProperty("last-answer").GetDateTimeOffset() <= silence.GetProperty("since").GetDateTimeOffset().AddSeconds(1));
        }

        await Wait.UntilAsync(
            async () => StateOf(overview = await asked.GetAsync("/api/overview"), victim.Name) == "down", "the page tells that it is down", details: () => overview.ToString());

        // What it said before is there, with the time; and the migration is still listed.
        var entry = overview.GetProperty("hosts").EnumerateArray().Single(host => host.GetProperty("host").GetString() == victim.Name);
        Assert.Equal(2, entry.GetProperty("outgoing").GetProperty("limit").GetInt32());
        Assert.True(entry.GetProperty("as-of").GetDateTimeOffset() < entry.GetProperty("since").GetDateTimeOffset());
        Assert.Contains(overview.GetProperty("unfinished").EnumerateArray(), migration => migration.GetProperty("id").GetString() == id);
        victim.Resume();
        await victim.WaitForEndAsync();

        Task<JsonElement> DetailAsync() => asked.GetAsync($"/api/migrations/{id}");
    }

    private static JsonElement? Silent(JsonElement overview, string what) =>
        overview.GetProperty("silent").EnumerateArray().Where(silence => silence.GetProperty("what").GetString() == what).Cast<JsonElement?>().FirstOrDefault();

    private static string? StateOf(JsonElement overview, string host) =>
        overview.GetProperty("hosts").EnumerateArray().Single(entry => entry.GetProperty("host").GetString() == host).GetProperty("state").GetString();
}

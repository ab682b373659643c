using System.Globalization;
using System.Text.Json;
using DistMigrate.Tests.Lab;
using Xunit.Abstractions;

namespace DistMigrate.Tests.Cluster;

/// <summary>More moves than places: everybody waits for his turn and gets it.</summary>
public sealed class TwelveGuestsTests(ITestOutputHelper output)
{
    private const int Guests = 12;
    private const int Limit = 2;
    private const int First = 3 * Limit;

    /// <summary>They walk most of their memory.</summary>
    private static readonly SelfCheckBoot Walker = new() { UpperMiB = 48 };

    private static readonly TimeSpan EndLimit = TimeSpan.FromMinutes(10);

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task Twelve_guests_move_among_three_hosts_in_the_order_in_which_they_were_asked_for()
    {
        await using var cluster = await ClusterUnderTest.StartAsync(settings: new Dictionary<string, string>
        {
            ["DISTMIGRATE_Limits__MaxOutgoing"] = "2",
            ["DISTMIGRATE_Limits__MaxIncoming"] = "2",
            ["DISTMIGRATE_Limits__MaxPerStorage"] = "6",
        });
        var moves = new List<Move>();
        try
        {
            for (var i = 0; i < Guests; i++)
            {
                // All targets of a host are one and the same, so that its moves wait for nobody else's incoming places.
                var (from, to) = (cluster.Hosts[i % 3], cluster.Hosts[(i + 1) % 3]);
                var name = string.Create(CultureInfo.InvariantCulture, $"vm{i}");
                var guest = await from.StartGuestAsync(name, mib: 64, boot: Walker);
                moves.Add(new Move(name, from, to, guest, new OneRunsOnly(guest.Serial, () => to.Launched(name).Serial)));
            }

            // Those who come first keep their places until all others wait.
            foreach (var (place, move) in moves.Index())
            {
                var rate = place < First ? "128KiB/s" : "4MiB/s";
                move.Id = (await cluster.RunAsync(
                    "move", move.Name, "--to", move.To.Name, "--from", move.From.Name, "--mode", "stopped", "--bwlimit", rate, "--detach")).ExpectOk().Output.Trim();
            }

            await WaitUntilTheOthersWaitAsync(cluster);
            foreach (var move in moves.Take(First))
                (await cluster.RunAsync("set", move.Id, "--bwlimit", "4MiB/s")).ExpectOk();
            await WaitUntilAllHaveEndedAsync(cluster, moves);

            foreach (var move in moves)
            {
                Assert.True(move.Guest.HasExited, $"{move.Name} is still on {move.From.Name}.");
                await move.To.Launched(move.Name).WaitForStepsAsync();
                await move.Watcher.ProveAsync();
            }

            Assert.Empty(Directory.GetFiles(cluster.Images));
            await StartedInOrderAsync(cluster, moves);
        }
        finally
        {
            foreach (var move in moves)
            {
                await move.Watcher.DisposeAsync();
                await move.Guest.DisposeAsync();
            }
        }
    }

    /// <summary>Each host lets as many out as it may, and all its others wait.</summary>
    private static Task WaitUntilTheOthersWaitAsync(ClusterUnderTest cluster) => Wait.UntilAsync(
        async () => await OutgoingAsync(cluster) is var outgoing && outgoing.Count == cluster.Hosts.Count && outgoing.All(places => Ids(places, "running").Count == Limit && Ids(places, "queued").Count == (Guests / 3) - Limit),
        "each host lets two guests out, and its others wait",
        EndLimit,
        () => cluster.Log,
        StatusPageReader.Step);

    /// <summary>Until all have ended, no host lets more in or out than it may, and those who wait keep their order.</summary>
    private static Task WaitUntilAllHaveEndedAsync(ClusterUnderTest cluster, List<Move> moves) => Wait.UntilAsync(
        async () =>
        {
            var outgoing = await OutgoingAsync(cluster);
            foreach (var places in outgoing)
            {
                var waiting = Ids(places, "queued");
                Assert.Equal(moves.Select(move => move.Id).Where(waiting.Contains), waiting);
                Assert.Equal(Enumerable.Range(1, waiting.Count), places.GetProperty("queued").EnumerateArray().Select(place => place.GetProperty("position").GetInt32()));
            }

            return outgoing.Count == cluster.Hosts.Count && outgoing.All(places => Ids(places, "running").Count + Ids(places, "queued").Count == 0);
        },
        "all moves have ended",
        EndLimit,
        () => cluster.Log,
        StatusPageReader.Step);

    /// <summary>Who goes out of each host that answers, or waits for it. A command each time would cost a small machine more than what it asks for.</summary>
    private static async Task<IReadOnlyList<JsonElement>> OutgoingAsync(ClusterUnderTest cluster)
    {
        var overview = await cluster.Hosts[0].GetAsync("/api/overview");
        var hosts = overview.GetProperty("queue").GetProperty("hosts").EnumerateArray().ToList();
        foreach (var direction in new[] { "outgoing", "incoming" })
            Assert.All(hosts, host => Assert.InRange(Ids(host.GetProperty(direction), "running").Count, 0, Limit));
        return [.. hosts.Select(host => host.GetProperty("outgoing"))];
    }

    /// <summary>Two that have their host's places at the same time may ask their target in either order; nobody else overtakes anybody.</summary>
    private async Task StartedInOrderAsync(ClusterUnderTest cluster, List<Move> moves)
    {
        foreach (var of in moves.GroupBy(move => move.From))
        {
            var started = new List<DateTimeOffset>();
            foreach (var move in of)
            {
                var status = await cluster.StatusAsync(move.Id);
                Assert.Equal("completed", status.GetProperty("phase").GetString());
                started.Add(status.GetProperty("started").GetDateTimeOffset());
                output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{move.Name} from {move.From.Name} to {move.To.Name}: started {started[^1]:HH:mm:ss.fff}, downtime {status.GetProperty("downtime").GetDouble():0.00} s"));
            }

            Assert.All(started.Zip(started.Skip(Limit)), pair => Assert.True(pair.First < pair.Second, $"{of.Key.Name}: {string.Join(", ", started)}"));
        }
    }

    private static List<string> Ids(JsonElement places, string what) => [.. places.GetProperty(what).EnumerateArray().Select(place => place.GetProperty("id").GetString()!)];

    private sealed record Move(string Name, ClusterHost From, ClusterHost To, QemuProcess Guest, OneRunsOnly Watcher)
    {
        public string Id { get; set; } = "";
    }
}

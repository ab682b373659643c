using System.Globalization;
using DistMigrate.Tests.Lab;
using Xunit.Abstractions;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>
/// The silo is killed at random moments in all phases of saves of a guest that runs and changes its memory, once or several times for
/// one save. Each save goes on by itself in the next silo and ends in a whole image; none is lost, and no guest is left stopped.
/// </summary>
public sealed class CrashTests : IClassFixture<ShortEpochs>, IAsyncLifetime
{
    private const int MostKills = 3;
    private const string AlreadyPublished = "published";

    /// <summary>Without a limit, so fast that epochs close within the copying, and so slow that most kills meet the copying.</summary>
    private static readonly string[] Rates = ["1GiB/s", "24MiB/s", "8MiB/s"];

    /// <summary>The guest dirties all its memory all the time, so a live save stops it after a few iterations.</summary>
    private static readonly string[][] Modes = [["--mode", "stopped"], ["--mode", "stream", "--at-most", "2"], ["--mode", "compare", "--at-most", "2"]];

    private readonly FaultBench _bench;
    private readonly ITestOutputHelper _output;

    public CrashTests(ShortEpochs fixture, ITestOutputHelper output)
    {
        _bench = fixture.Bench;
        _output = output;
    }

    /// <summary>What has happened when the time to a kill begins to run.</summary>
    private enum Mark
    {
        /// <summary>The partial image is there.</summary>
        Created,

        /// <summary>The guest's run state is on record, and the guest is about to be stopped; or it has been since long.</summary>
        OnRecord,

        /// <summary>The guest has been stopped once more.</summary>
        Stopped,

        /// <summary>A silo that came after a kill has given the guest back; the first one kills as soon as it is on record.</summary>
        GivenBack,

        /// <summary>The checksums of the finished image are being written.</summary>
        Checksums,

        /// <summary>The image has its manifest, and is published next.</summary>
        Manifest,

        /// <summary>The image is published.</summary>
        Published,
    }

    public Task InitializeAsync() => _bench.ResetAsync();

    public Task DisposeAsync() => Task.CompletedTask;

    [RequiresQemuFact]
    public async Task A_silo_that_is_killed_at_any_moments_is_followed_by_one_that_completes_the_save()
    {
        await _bench.GuestAsync();
        (await _bench.Product.RunAsync("status")).ExpectOk();
        var random = FaultSeed.For(3);
        _output.WriteLine($"SEED={FaultSeed.Value}");
        List<string> failures = [];
        var wanted = LabPrograms.IsFull ? 100 : 6;
        var interruptions = 0;
        for (var number = 0; interruptions < wanted && number < 3 * wanted; number++)
        {
            // The first kills meet every phase in turn, whatever the seed.
            var kills = Enumerable.Range(0, random.Next(1, MostKills + 1))
                .Select(kill => kill == 0 ? (Mark)(number % Enum.GetValues<Mark>().Length) : Pick(random)).Select(mark => (After: mark, Delay: Delay(mark, random))).ToArray();
            var rate = Rates[random.Next(Rates.Length)];
            var mode = Modes[random.Next(Modes.Length)];
            var what = $"save {number} {string.Join(' ', mode)} at {rate}, killed {string.Join(", ", kills.Select(kill => string.Create(CultureInfo.InvariantCulture, $"{kill.Delay.TotalMilliseconds:0} ms after {kill.After}")))}";
            try
            {
                var met = await CrashAsync(_bench.Product.Image($"crash{number}.img"), rate, mode, kills);
                interruptions += met.Count(moment => moment != AlreadyPublished);
                _output.WriteLine($"{what}: {string.Join(", ", met)}");
            }
            catch (Exception exception) when (exception is not OperationCanceledException)
            {
                failures.Add($"{what}: {exception.Message}");
                _output.WriteLine(failures[^1]);
                await _bench.ResetAsync();
            }
        }

        Assert.True(failures.Count == 0, $"SEED={FaultSeed.Value}: {failures.Count} saves failed\n{string.Join("\n\n", failures)}");
        Assert.True(interruptions >= wanted, $"SEED={FaultSeed.Value}: only {interruptions} kills met an unpublished image.");
    }

    private static Mark Pick(Random random) => Enum.GetValues<Mark>()[random.Next(Enum.GetValues<Mark>().Length)];

    /// <summary>Most often a moment, so that what comes next after a mark is met as well as what takes long; the publication is over soon.</summary>
    private static TimeSpan Delay(Mark mark, Random random) => TimeSpan.FromMilliseconds(Math.Pow(10, (mark >= Mark.Checksums ? 1.2 : 3.2) * random.NextDouble()) - 1);

    private async Task<IReadOnlyList<string>> CrashAsync(string image, string rate, string[] mode, IReadOnlyList<(Mark After, TimeSpan Delay)> kills)
    {
        var guest = await _bench.GuestAsync();
        var before = FolderState.Of(_bench.Images);
        List<string> met = [];
        var silo = _bench.Product.SiloPid;
        var events = guest.Monitor.Events.Count;
        var command = _bench.Product.RunAsync(["save", FaultBench.GuestName, image, "--qmp", guest.QmpSocket, "--bwlimit", rate, "--detach", .. mode]);
        foreach (var (mark, delay) in kills)
        {
            await Wait.UntilAsync(
                () => IsReached(mark, image, guest, events, isFirst: met.Count == 0) || File.Exists(image), $"{mark} or the end", details: () => _bench.Product.SiloLog);
            using (var moment = new CancellationTokenSource(delay))
                await Task.Delay(Timeout.Infinite, moment.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

            met.Add(Describe(image, await guest.Monitor.RunStateAsync()));
            events = guest.Monitor.Events.Count;
            await ProductUnderTest.KillSiloAsync(silo);
            await command;
            var dead = silo;
            command = _bench.Product.RunAsync("status");
            if (met[^1] == AlreadyPublished)
                break;
            await Wait.UntilAsync(() => (silo = _bench.Product.FindSilos().FirstOrDefault(pid => pid != dead)) != 0, "the next silo starts", details: () => _bench.Product.SiloLog);
        }

        (await command).ExpectOk();
        var id = (await FindAsync(image)) ?? throw new InvalidOperationException("The migration is lost.");
        var (phase, _, message) = await EndAsync(id);
        Assert.True(phase == "completed", $"{id} is {phase}: {message}");
        await _bench.ExpectWholeAsync(image);
        await _bench.RemoveAsync(image);
        before.ExpectUnchanged();
        return met;
    }

    private async Task<(string Phase, string? Reason, string Message)> EndAsync(string id)
    {
        (await _bench.Product.RunAsync("watch", id)).ExpectOk();
        return await _bench.StatusAsync(id);
    }

    private bool IsReached(Mark mark, string image, QemuProcess guest, int events, bool isFirst)
    {
        return mark switch
        {
            Mark.Created => File.Exists(image + ".partial"),
            Mark.OnRecord => IsOnRecord(),
            Mark.Stopped => Happened("STOP"),
            Mark.GivenBack => isFirst ? IsOnRecord() : Happened("RESUME"),
            Mark.Checksums => File.Exists(image + ".partial.checksums"),
            Mark.Manifest => File.Exists(image + ".partial.manifest.json"),
            _ => File.Exists(image),
        };

        bool Happened(string name) => guest.Monitor.Events.Skip(events).Any(e => e.GetProperty("event").GetString() == name);

        bool IsOnRecord() => Directory.Exists(StopRecords) && Directory.EnumerateFiles(StopRecords, "*.json").Any();
    }

    private string StopRecords => Path.Combine(_bench.Product.StateFolder, "stopped");

    /// <summary>How far a save is, as its files tell.</summary>
    private static string Describe(string image, string guest) =>
        File.Exists(image) ? AlreadyPublished : File.Exists(image + ".partial.manifest.json") ? "with manifest" : File.Exists(image + ".partial.checksums") ? "with checksums"
        : File.Exists(image + ".partial") ? $"unfinished, guest {guest}" : $"no image, guest {guest}";

    private async Task<string?> FindAsync(string image) =>
        (await _bench.Product.RunAsync("list", "--output", "json")).ExpectOk().Json.GetProperty("migrations").EnumerateArray()
            .Where(migration => migration.GetProperty("image").GetString() == image).Select(migration => migration.GetProperty("id").GetString()).SingleOrDefault();
}

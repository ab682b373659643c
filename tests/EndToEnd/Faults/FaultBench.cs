using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>
/// A product of its own and one guest that checks its memory for ever. Whatever a test does, the guest must be afterwards what it was
/// before, so the tests of a class share them.
/// </summary>
public sealed partial class FaultBench : IAsyncLifetime
{
    /// <summary>The guest's name.</summary>
    public const string GuestName = "victim";

    /// <summary>A guest is small, so that a save takes a moment, and a bandwidth limit makes it last as long as a test likes.</summary>
    internal static readonly GuestRecipe Recipe = new() { MiB = 24 };

    /// <summary>The least that the product takes: the guest's pages last for minutes, also on a machine that is busy with other things.</summary>
    internal const string SlowestRate = "64KiB/s";

    /// <summary>A paused save tries its storage again after up to half a minute.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    private QemuProcess? _guest;

    /// <summary>The command and its silo.</summary>
    public ProductUnderTest Product { get; } = new();

    /// <summary>The folder for images that the silo may use on the machine's disk.</summary>
    public string Images => Product.StorageRoot;

    /// <summary>The guest; started by the first test that asks, since a fixture is made also where all tests are skipped.</summary>
    public async Task<QemuProcess> GuestAsync()
    {
        if (_guest is null)
        {
            _guest = await QemuProcess.StartAsync(Recipe);
            await _guest.WaitUntilReadyAsync();
        }

        return _guest;
    }

    /// <summary>Saves the guest and waits for the end.</summary>
    public async Task<CommandResult> SaveAsync(string image, params string[] options) =>
        await SaveAsync(await GuestAsync(), image, options);

    /// <summary>Saves another guest under the same name and waits for the end.</summary>
    public Task<CommandResult> SaveAsync(QemuProcess guest, string image, params string[] options) =>
        Product.RunAsync(["save", GuestName, image, "--qmp", guest.QmpSocket, .. options]);

    /// <summary>Starts a save that does not end by itself within a test, and waits until it copies: the guest stands still.</summary>
    internal async Task<SlowSave> StartSlowSaveAsync(QemuProcess guest, string image, string rate = SlowestRate, params string[] options)
    {
        var save = new SlowSave(this, await SubmitAsync(guest, image, rate, GuestName, options));
        try
        {
            await WaitUntilCopyingAsync();
            return save;
        }
        catch
        {
            await save.DisposeAsync();
            throw;
        }
    }

    /// <summary>Submits a save without waiting for anything.</summary>
    public async Task<string> SubmitAsync(QemuProcess guest, string image, string rate = SlowestRate, string name = GuestName, params string[] options)
    {
        var started = await Product.RunAsync(["save", name, image, "--qmp", guest.QmpSocket, "--bwlimit", rate, "--detach", .. options]);
        return started.ExpectOk().Output.Trim();
    }

    /// <summary>Waits until pages of a guest lie in the image: every question to QEMU that comes before the copying is over by then.</summary>
    public Task WaitUntilCopyingAsync() => Wait.UntilAsync(
        async () => await PagesAsync("written", "durable") > 0, "the silo copies the guest's pages", details: () => Product.SiloLog);

    /// <summary>Waits until so many pages of the guest lie in the image.</summary>
    internal Task WaitUntilCopiedAsync(long pages) => Wait.UntilAsync(
        async () => await PagesAsync("written", "durable") >= pages, $"{pages} pages are written", details: () => Product.SiloLog);

    /// <summary>Waits until so many pages of the guest that are not zero are durable.</summary>
    /// <returns>How many are.</returns>
    internal async Task<long> WaitUntilDurableAsync(long pages)
    {
        long durable = 0;
        await Wait.UntilAsync(
            async () => (durable = await PagesAsync("durable") - Sum(ZeroPagesLine(), await Product.GetAsync("/metrics"), _ => true)) >= pages,
            $"{pages} pages are durable",
            details: () => Product.SiloLog);
        return durable;
    }

    /// <summary>Waits until no page of the guest is left to write.</summary>
    internal Task WaitUntilCopiedAsync() => Wait.UntilAsync(
        async () => await PagesAsync("dirty", "in_flight") == 0, "every page is written", details: () => Product.SiloLog);

    /// <summary>Makes good what a test that failed left: no save goes on, the guest runs, and no image is there.</summary>
    internal async Task ResetAsync()
    {
        if (_guest is null)
            return;
        foreach (var migration in (await Product.RunAsync("list", "--output", "json")).ExpectOk().Json.GetProperty("migrations").EnumerateArray())
        {
            if (migration.GetProperty("phase").GetString() is not ("completed" or "failed" or "cancelled"))
                await Product.RunAsync("cancel", migration.GetProperty("id").GetString()!);
        }

        foreach (var file in Directory.EnumerateFiles(Images))
            File.Delete(file);
        if (await _guest.Monitor.RunStateAsync() != "running")
            await _guest.ContinueAsync();
    }

    /// <summary>Waits until a migration is in a phase; fails once it has ended in another one.</summary>
    /// <returns>What <c>status ID</c> tells then.</returns>
    internal async Task<JsonElement> WaitForPhaseAsync(string id, string phase)
    {
        var status = await WaitForPhaseAsync(id, now => now == phase || now is "completed" or "failed" or "cancelled", $"the migration is {phase}");
        if (status.GetProperty("phase").GetString() != phase)
            Assert.Fail($"The migration is to be {phase}, and has ended: {status}");
        return status;
    }

    /// <summary>Waits until a migration is in one of some phases.</summary>
    /// <returns>What <c>status ID</c> tells then.</returns>
    internal Task<JsonElement> WaitForPhaseAsync(string id, Func<string, bool> isWanted, string what) =>
        Product.WaitForStatusAsync(id, status => isWanted(status.GetProperty("phase").GetString()!), what, Limit);

    /// <summary>Waits until a save has completed, proves its image, and removes that.</summary>
    internal async Task CompleteAsync(string id, string image)
    {
        await WaitForPhaseAsync(id, "completed");
        await ExpectWholeAsync(image);
        await RemoveAsync(image);
    }

    /// <summary>The image is published and proven by its checksums, a stock QEMU loads it, and the guest in it finds its memory as it wrote it.</summary>
    internal async Task ExpectWholeAsync(string image)
    {
        var verified = (await Product.RunAsync("verify", image, "--deep", "--output", "json")).ExpectOk().Json.GetProperty("pages");
        Assert.Equal(0, verified.GetProperty("wrong").GetInt64());
        Assert.InRange(verified.GetProperty("compared").GetInt64(), Recipe.MiB << 8, long.MaxValue);
        Assert.True(File.Exists(image + ".manifest.json"), $"{image} has no manifest.");
        Assert.Equal([], Unfinished(image));
        await Expect.LoadsAsync(image, Recipe);
    }

    /// <summary>Files of a save that has not come to its end, or was not cleared up.</summary>
    internal static IReadOnlyList<string> Unfinished(string image) =>
    [
        .. Directory.EnumerateFiles(Path.GetDirectoryName(image)!, Path.GetFileName(image) + ".*")
            .Where(file => file[image.Length..] is var suffix && (suffix.StartsWith(".partial", StringComparison.Ordinal)
                || suffix.StartsWith(".journal", StringComparison.Ordinal) || suffix.EndsWith(".previous", StringComparison.Ordinal))),
    ];

    /// <summary>What <c>blocks ID</c> tells of the RAMBlocks, summed up.</summary>
    internal async Task<long> SumBlocksAsync(string id, string counter) =>
        (await Product.RunAsync("blocks", id, "--output", "json")).ExpectOk().Json.GetProperty("blocks").EnumerateArray()
            .Sum(block => block.GetProperty(counter).GetInt64());

    /// <summary>Removes a published image, and lets the guest run on.</summary>
    internal async Task RemoveAsync(string image)
    {
        File.Delete(image);
        File.Delete(image + ".manifest.json");
        File.Delete(image + ".checksums");
        var guest = await GuestAsync();
        await guest.ContinueAsync();
        await guest.WaitForStepsAsync(2);
    }

    /// <summary>What <c>status ID</c> tells.</summary>
    public async Task<(string Phase, string? Reason, string Message)> StatusAsync(string id)
    {
        var json = await Product.StatusAsync(id);
        return (json.GetProperty("phase").GetString()!, json.TryGetProperty("reason", out var reason) ? reason.GetString() : null,
            json.GetProperty("message").GetString()!);
    }

    /// <summary>Asserts that a save failed with this exit code, said these words, and left the guest running and nothing in the folder but what was there.</summary>
    internal async Task ExpectHarmlessAsync(CommandResult result, int exitCode, FolderState before, params string[] words)
    {
        Expect.Failure(result, exitCode, words);
        await Expect.RunsAtOnceAsync(await GuestAsync());
        before.ExpectUnchanged();
    }

    /// <inheritdoc/>
    public Task InitializeAsync() => Task.CompletedTask;

    /// <inheritdoc/>
    public async Task DisposeAsync()
    {
        await Product.DisposeAsync();
        if (_guest is not null)
            await _guest.DisposeAsync();
    }

    private async Task<long> PagesAsync(params string[] states) =>
        Sum(PagesLine(), await Product.GetAsync("/metrics"), line => states.Contains(line.Groups["state"].Value));

    private static long Sum(Regex lines, string metrics, Predicate<Match> isWanted) =>
        lines.Matches(metrics).Where(line => line.Groups["guest"].Value == GuestName && isWanted(line))
            .Sum(line => long.Parse(line.Groups["value"].ValueSpan, CultureInfo.InvariantCulture));

    [GeneratedRegex("""^distmigrate_ramblock_pages\{[^}]*guest="(?<guest>[^"]*)"[^}]*state="(?<state>[^"]*)"[^}]*\} (?<value>\d+)""", RegexOptions.Multiline)]
    private static partial Regex PagesLine();

    [GeneratedRegex("""^distmigrate_ramblock_zero_pages\{[^}]*guest="(?<guest>[^"]*)"[^}]*\} (?<value>\d+)""", RegexOptions.Multiline)]
    private static partial Regex ZeroPagesLine();
}

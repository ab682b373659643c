using System.Globalization;
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
    internal async Task<SlowSave> StartSlowSaveAsync(QemuProcess guest, string image, string rate = SlowestRate)
    {
        var save = new SlowSave(this, await SubmitAsync(guest, image, rate));
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

    /// <summary>Waits until no page of the guest is left to write.</summary>
    internal Task WaitUntilCopiedAsync() => Wait.UntilAsync(
        async () => await PagesAsync("dirty", "in_flight") == 0, "every page is written", details: () => Product.SiloLog);

    /// <summary>Makes good what a test that failed left: the guest runs, and no image is there.</summary>
    internal async Task ResetAsync()
    {
        foreach (var file in Directory.EnumerateFiles(Images))
            File.Delete(file);
        if (_guest is not null && await _guest.Monitor.RunStateAsync() != "running")
            await _guest.ContinueAsync();
    }

    /// <summary>Removes a published image, and lets the guest run on.</summary>
    internal async Task RemoveAsync(string image)
    {
        File.Delete(image);
        File.Delete(image + ".manifest.json");
        var guest = await GuestAsync();
        await guest.ContinueAsync();
        await guest.WaitForStepsAsync(2);
    }

    /// <summary>What <c>status ID</c> tells.</summary>
    public async Task<(string Phase, string? Reason, string Message)> StatusAsync(string id)
    {
        var json = (await Product.RunAsync("status", id, "--output", "json")).ExpectOk().Json;
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
        PagesLine().Matches(await Product.GetAsync("/metrics"))
            .Where(line => line.Groups["guest"].Value == GuestName && states.Contains(line.Groups["state"].Value))
            .Sum(line => long.Parse(line.Groups["value"].ValueSpan, CultureInfo.InvariantCulture));

    [GeneratedRegex("""^distmigrate_ramblock_pages\{[^}]*guest="(?<guest>[^"]*)"[^}]*state="(?<state>[^"]*)"[^}]*\} (?<value>\d+)""", RegexOptions.Multiline)]
    private static partial Regex PagesLine();
}

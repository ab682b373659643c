using DistMigrate.Tests.Lab;
using Xunit.Abstractions;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>The silo dies during a save. The next one gives the guest back before anything else, and goes on with the save by itself.</summary>
public sealed class SiloDeathTests(FaultBench bench, ITestOutputHelper output) : IClassFixture<FaultBench>, IAsyncLifetime
{
    private const int Cancelled = 5;

    /// <summary>The copying takes a few seconds.</summary>
    private const string Rate = "3MiB/s";

    public Task InitializeAsync() => bench.ResetAsync();

    public Task DisposeAsync() => Task.CompletedTask;

    [RequiresQemuFact]
    public async Task A_silo_that_is_killed_while_it_holds_the_guest_stopped_gives_it_back_with_the_next_command_and_then_goes_on()
    {
        var guest = await bench.GuestAsync();
        var image = bench.Product.Image("a.img");
        await using var save = await bench.StartSlowSaveAsync(guest, image, Rate);
        await bench.Product.KillSiloAsync();
        Assert.Equal("paused", await guest.Monitor.RunStateAsync());
        var seen = guest.Monitor.Events.Count;

        // By the time that a silo answers, the guest has run again, and only then may the save have stopped it anew.
        (await bench.Product.RunAsync("status")).ExpectOk();
        Assert.Equal("RESUME", RunEvents(guest, seen).FirstOrDefault());
        await bench.CompleteAsync(save.Id, image);
    }

    [RequiresQemuFact]
    public async Task A_guest_that_was_paused_before_stays_paused_when_the_silo_is_killed()
    {
        var guest = await bench.GuestAsync();
        var image = bench.Product.Image("a.img");
        await guest.PauseAsync();
        var seen = guest.Monitor.Events.Count;
        await using var save = await bench.StartSlowSaveAsync(guest, image, Rate);
        await bench.Product.KillSiloAsync();
        await bench.WaitForPhaseAsync(save.Id, "completed");
        Assert.DoesNotContain("RESUME", RunEvents(guest, seen));
        Assert.NotEqual("running", await guest.Monitor.RunStateAsync());
        await bench.CompleteAsync(save.Id, image);
    }

    [RequiresQemuFact]
    public async Task A_silo_that_is_told_to_end_gives_the_guest_back_before_it_goes_and_the_next_one_goes_on()
    {
        var guest = await bench.GuestAsync();
        var image = bench.Product.Image("a.img");
        await using var save = await bench.StartSlowSaveAsync(guest, image, Rate);
        Signals.Send(bench.Product.SiloPid, Signal.Terminate);
        await Expect.RunsAgainAsync(guest);
        await Wait.UntilAsync(() => bench.Product.ReadEndpoint() is null, "the silo has ended", details: () => bench.Product.SiloLog);
        await Expect.RunsAtOnceAsync(guest);
        await bench.CompleteAsync(save.Id, image);
    }

    [RequiresQemuFact]
    public async Task A_save_whose_silo_was_killed_is_cancelled_in_the_next_one_without_a_trace()
    {
        var guest = await bench.GuestAsync();
        var before = FolderState.Of(bench.Images);
        await using var save = await bench.StartSlowSaveAsync(guest, bench.Product.Image("a.img"));
        await bench.Product.KillSiloAsync();
        await save.CancelAsync();
        (await bench.Product.RunAsync("watch", save.Id)).ExpectExit(Cancelled);
        await Expect.RunsAtOnceAsync(guest);
        before.ExpectUnchanged();
    }

    [RequiresQemuFact]
    public async Task A_save_whose_grain_storage_lost_what_it_was_told_last_goes_on_from_what_the_journal_knows()
    {
        var guest = await bench.GuestAsync();
        var image = bench.Product.Image("a.img");
        await using var save = await bench.StartSlowSaveAsync(guest, image, "512KiB/s");
        await bench.Product.KillSiloAsync();
        var older = Directory.CreateDirectory(Path.Combine(bench.Product.StateFolder, "older")).FullName;
        CopyGrains(bench.Product.StateFolder, older);

        // The next coordinator writes its token into the journal, and grain storage forgets that there was one.
        (await bench.Product.RunAsync("status")).ExpectOk();
        await bench.WaitUntilCopyingAsync();
        await bench.Product.KillSiloAsync();
        foreach (var file in Grains(bench.Product.StateFolder))
            File.Delete(file);
        CopyGrains(older, bench.Product.StateFolder);
        await bench.CompleteAsync(save.Id, image);
        Assert.Contains("came too late", bench.Product.SiloLog, StringComparison.Ordinal);
    }

    [RequiresFaultsFact(FaultNeeds.Strace)]
    public async Task A_silo_that_dies_just_before_a_call_is_followed_by_one_that_completes_the_save()
    {
        (await bench.Product.RunAsync("status")).ExpectOk();
        List<FaultPoint> points = [];
        foreach (var moment in new[] { FaultMoment.Beginning, FaultMoment.Finishing })
        {
            var image = bench.Product.Image($"record-{moment}.img");
            var (id, record) = await new WatchedSave(bench).RunAsync(image, moment);
            Assert.Equal("completed", (await bench.StatusAsync(id)).Phase);
            await bench.RemoveAsync(image);
            points.AddRange(FaultPoint.Of(moment, record).Where(point => point.Call is "ftruncate" or "fsync" or "renameat2" or "renameat" or "pwrite64"));
        }

        output.WriteLine($"SEED={FaultSeed.Value}; points: {string.Join(", ", points)}");

        // The moments around the last renames decide what is published, so they are always among them.
        var decisive = points.Where(point => point.Moment == FaultMoment.Finishing && point.Call.StartsWith("renameat", StringComparison.Ordinal)).ToList();
        foreach (var point in decisive.Concat(FaultSeed.Sample([.. points.Except(decisive)], 2, 4)))
        {
            (await bench.Product.RunAsync("status")).ExpectOk();
            var before = FolderState.Of(bench.Images);
            var image = bench.Product.Image("killed.img");
            var (id, _) = await new WatchedSave(bench).RunAsync(image, point.Moment, point.Inject("signal=KILL"));
            await SettleAsync($"killed before {point}", id, image, before);
        }
    }

    /// <summary>Starts the next silo, and judges what it made of the save.</summary>
    private async Task SettleAsync(string what, string id, string image, FolderState before)
    {
        (await bench.Product.RunAsync("status")).ExpectOk();
        var result = await bench.Product.RunAsync("watch", id);
        output.WriteLine($"{what}: {result.ExitCode}: {result.ErrorOutput.Trim()}");
        Assert.True(result.ExitCode == 0, $"{what}: {result}");
        await bench.ExpectWholeAsync(image);
        await bench.RemoveAsync(image);
        before.ExpectUnchanged($"{what}: {result}");
    }

    private static string[] Grains(string folder) => Directory.GetFiles(folder, "grains.sqlite*");

    private static void CopyGrains(string from, string to)
    {
        foreach (var file in Grains(from))
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
    }

    private static IEnumerable<string> RunEvents(QemuProcess guest, int after) =>
        guest.Monitor.Events.Skip(after).Select(e => e.GetProperty("event").GetString()!).Where(name => name is "STOP" or "RESUME");
}

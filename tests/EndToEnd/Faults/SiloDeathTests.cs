using DistMigrate.Tests.Lab;
using Xunit.Abstractions;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>The silo dies during a save. The next one gives the guest back before anything else, and settles what was left.</summary>
public sealed class SiloDeathTests(FaultBench bench, ITestOutputHelper output) : IClassFixture<FaultBench>, IAsyncLifetime
{
    private const int Failed = 1;

    /// <summary>An unlimited save of the small guest takes about this long; later kills hit its end or nothing.</summary>
    private static readonly TimeSpan LatestKill = TimeSpan.FromSeconds(1.2);

    public Task InitializeAsync() => bench.ResetAsync();

    public Task DisposeAsync() => Task.CompletedTask;

    [RequiresQemuFact]
    public async Task A_silo_that_is_killed_while_it_holds_the_guest_stopped_gives_it_back_with_the_next_command()
    {
        var guest = await bench.GuestAsync();
        var before = FolderState.Of(bench.Images);
        await using var save = await bench.StartSlowSaveAsync(guest, bench.Product.Image("a.img"));
        await bench.Product.KillSiloAsync();
        Assert.Equal("paused", await guest.Monitor.RunStateAsync());

        (await bench.Product.RunAsync("status")).ExpectOk();
        await Expect.RunsAtOnceAsync(guest);
        Expect.Failure(await save.WatchAsync(Wait.Ordinary), Failed, "run state", "again");
        var (phase, reason, _) = await bench.StatusAsync(save.Id);
        Assert.Equal(("failed", "silo-restarted"), (phase, reason));
        before.ExpectUnchanged();
    }

    [RequiresQemuFact]
    public async Task A_guest_that_was_paused_before_stays_paused_when_the_silo_is_killed()
    {
        var guest = await bench.GuestAsync();
        var before = FolderState.Of(bench.Images);
        await guest.PauseAsync();
        await using var save = await bench.StartSlowSaveAsync(guest, bench.Product.Image("a.img"));
        await bench.Product.KillSiloAsync();
        Expect.Failure(await save.WatchAsync(Wait.Ordinary), Failed, "run state");
        Assert.Equal("paused", await guest.Monitor.RunStateAsync());
        before.ExpectUnchanged();
        await guest.ContinueAsync();
        await guest.WaitForStepsAsync(2);
    }

    [RequiresQemuFact]
    public async Task A_silo_that_is_told_to_end_gives_the_guest_back_before_it_goes()
    {
        var guest = await bench.GuestAsync();
        var before = FolderState.Of(bench.Images);
        await using var save = await bench.StartSlowSaveAsync(guest, bench.Product.Image("a.img"));
        SystemProgram.Send(bench.Product.SiloPid, Signal.Terminate);
        await Expect.RunsAgainAsync(guest);
        await Wait.UntilAsync(() => bench.Product.ReadEndpoint() is null, "the silo has ended", details: () => bench.Product.SiloLog);

        var watched = await save.WatchAsync(Wait.Ordinary);
        Assert.True(watched.ExitCode is Failed, watched.ToString());
        await Expect.RunsAtOnceAsync(guest);
        before.ExpectUnchanged();
    }

    [RequiresQemuFact]
    public async Task A_silo_that_is_killed_at_any_moment_leaves_a_whole_image_or_none_and_then_the_guest_runs()
    {
        var guest = await bench.GuestAsync();
        var random = FaultSeed.For(3);
        for (var i = 0; i < (FaultTools.IsFull ? 50 : 6); i++)
        {
            (await bench.Product.RunAsync("status")).ExpectOk();
            var delay = LatestKill * random.NextDouble();
            var before = FolderState.Of(bench.Images);
            var image = bench.Product.Image("killed.img");
            var id = await bench.SubmitAsync(guest, image, "1GiB/s");
            using (var moment = new CancellationTokenSource(delay))
                await Task.Delay(Timeout.Infinite, moment.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await bench.Product.KillSiloAsync();
            await SettleAsync($"killed {delay.TotalMilliseconds:0} ms after the start (SEED={FaultSeed.Value})", id, image, before);
        }
    }

    [RequiresFaultsFact(FaultNeeds.Strace)]
    public async Task A_silo_that_dies_just_before_a_call_leaves_a_whole_image_or_none_and_then_the_guest_runs()
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
        var guest = await bench.GuestAsync();
        (await bench.Product.RunAsync("status")).ExpectOk();
        var result = await bench.Product.RunAsync("watch", id);
        var state = await guest.Monitor.RunStateAsync();
        output.WriteLine($"{what}: {result.ExitCode}, guest {state}: {result.ErrorOutput.Trim()}");
        if (result.ExitCode == 0)
        {
            (await bench.Product.RunAsync("verify", image)).ExpectOk();
            Assert.True(File.Exists(image + ".manifest.json"), $"{what}: the image has no manifest. {result}");
            await bench.RemoveAsync(image);
            before.ExpectUnchanged($"{what}: {result}");
            return;
        }

        Assert.True(result.ExitCode == Failed, $"{what}: {result}");
        Assert.Equal("silo-restarted", (await bench.StatusAsync(id)).Reason);
        Assert.True(state == "running", $"{what}: the guest is {state}. {result}");
        await Expect.RunsAtOnceAsync(guest);
        before.ExpectUnchanged($"{what}: {result}");
    }
}

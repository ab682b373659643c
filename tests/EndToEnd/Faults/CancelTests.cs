using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Cancelling in every phase, and not waiting for the end.</summary>
public sealed class CancelTests : IClassFixture<CancelTests.OneAtATime>
{
    private const int Cancelled = 5;
    private const int NotFound = 6;
    private const int TimedOut = 124;

    private readonly FaultBench _bench;

    public CancelTests(OneAtATime fixture) => _bench = fixture.Bench;

    [RequiresQemuFact]
    public async Task A_save_that_is_cancelled_while_it_copies_gives_the_guest_back_and_leaves_nothing_and_cancelling_again_changes_nothing()
    {
        var guest = await _bench.GuestAsync();
        var before = FolderState.Of(_bench.Images);
        await using var save = await _bench.StartSlowSaveAsync(guest, _bench.Product.Image("a.img"));
        var id = save.Id;
        Assert.Equal("paused", await guest.Monitor.RunStateAsync());

        var cancelled = await _bench.Product.RunAsync("cancel", id, "--output", "json");
        Assert.Equal("cancelled", cancelled.ExpectOk().Json.GetProperty("phase").GetString());
        await Expect.RunsAtOnceAsync(guest);
        before.ExpectUnchanged();

        var again = (await _bench.Product.RunAsync("cancel", id)).ExpectOk();
        Assert.Contains("had ended already", again.ErrorOutput, StringComparison.Ordinal);
        (await _bench.Product.RunAsync("watch", id)).ExpectExit(Cancelled);
        await Expect.RunsAtOnceAsync(guest);
    }

    [RequiresQemuFact]
    public async Task A_save_that_waits_its_turn_is_cancelled_without_its_guest_being_touched_and_the_first_one_goes_on()
    {
        var guest = await _bench.GuestAsync();
        await using var other = await QemuProcess.StartAsync(FaultBench.Recipe);
        await other.WaitUntilReadyAsync();
        var before = FolderState.Of(_bench.Images);
        await using var first = await _bench.StartSlowSaveAsync(guest, _bench.Product.Image("a.img"));
        var second = await _bench.SubmitAsync(other, _bench.Product.Image("b.img"), name: "other");
        Assert.Equal("queued", (await _bench.StatusAsync(second)).Phase);

        (await _bench.Product.RunAsync("cancel", second)).ExpectOk();
        var (phase, _, message) = await _bench.StatusAsync(second);
        Assert.Equal("cancelled", phase);
        Assert.Contains("not touched", message, StringComparison.Ordinal);
        Assert.DoesNotContain(other.Monitor.Events, e => e.GetProperty("event").GetString() == "STOP");
        await Expect.RunsAtOnceAsync(other);
        Assert.Equal("active", (await _bench.StatusAsync(first.Id)).Phase);

        await first.CancelAsync();
        await Expect.RunsAtOnceAsync(guest);
        before.ExpectUnchanged();
    }

    [RequiresQemuFact]
    public async Task The_next_in_the_queue_starts_when_the_first_is_cancelled()
    {
        var guest = await _bench.GuestAsync();
        await using var other = await QemuProcess.StartAsync(FaultBench.Recipe);
        await other.WaitUntilReadyAsync();
        await using var first = await _bench.StartSlowSaveAsync(guest, _bench.Product.Image("a.img"));
        var image = _bench.Product.Image("next.img");
        var second = await _bench.SubmitAsync(other, image, rate: "1GiB/s", name: "other");
        await first.CancelAsync();
        (await _bench.Product.RunAsync("watch", second)).ExpectOk();
        (await _bench.Product.RunAsync("verify", image)).ExpectOk();
        await Expect.RunsAtOnceAsync(guest);
    }

    [RequiresQemuFact]
    public async Task Cancelling_a_save_that_is_published_changes_nothing()
    {
        var guest = await _bench.GuestAsync();
        var image = _bench.Product.Image("done.img");
        var saved = await _bench.SaveAsync(image, "--output", "json");
        var id = saved.ExpectOk().Json.GetProperty("id").GetString()!;
        var before = FolderState.Of(_bench.Images);

        var cancelled = (await _bench.Product.RunAsync("cancel", id)).ExpectOk();
        Assert.Contains("had ended already: completed", cancelled.ErrorOutput, StringComparison.Ordinal);
        Assert.Equal("completed", (await _bench.StatusAsync(id)).Phase);
        before.ExpectUnchanged();
        Assert.NotEqual("running", await guest.Monitor.RunStateAsync());
        await guest.ContinueAsync();
        await guest.WaitForStepsAsync(2);
    }

    [RequiresQemuFact]
    public async Task A_wait_that_takes_too_long_ends_with_124_says_how_to_go_on_and_leaves_the_save_alone()
    {
        var guest = await _bench.GuestAsync();
        var before = FolderState.Of(_bench.Images);
        var result = await _bench.SaveAsync(_bench.Product.Image("a.img"), "--bwlimit", FaultBench.SlowestRate, "--timeout", "1s");
        result.ExpectExit(TimedOut);
        Assert.Contains("goes on", result.ErrorOutput, StringComparison.Ordinal);
        var id = result.ErrorOutput.Split(' ').First(word => word.StartsWith("m-", StringComparison.Ordinal));
        Assert.Contains($"distmigrate cancel {id}", result.ErrorOutput, StringComparison.Ordinal);
        await using var save = new SlowSave(_bench, id);
        await _bench.WaitUntilCopyingAsync();
        (await _bench.Product.RunAsync("watch", id, "--timeout", "1s")).ExpectExit(TimedOut);
        Assert.Equal("active", (await _bench.StatusAsync(id)).Phase);

        (await _bench.Product.RunAsync("cancel", id, "--detach")).ExpectOk();
        (await save.WatchAsync(Wait.Ordinary)).ExpectExit(Cancelled);
        await Expect.RunsAtOnceAsync(guest);
        before.ExpectUnchanged();
    }

    [RequiresQemuFact]
    public async Task A_migration_that_nobody_knows_is_not_found_by_any_command()
    {
        foreach (var command in new[] { "status", "blocks", "watch", "cancel" })
            Expect.Failure(await _bench.Product.RunAsync(command, "m-unknown"), NotFound, "m-unknown", "distmigrate list");
    }

    /// <summary>A bench whose silo runs one migration at a time.</summary>
    public sealed class OneAtATime : IAsyncLifetime
    {
        public FaultBench Bench { get; } = new();

        public Task InitializeAsync()
        {
            Bench.Product.Settings["DISTMIGRATE_Limits__MaxOutgoing"] = "1";
            return Task.CompletedTask;
        }

        public Task DisposeAsync() => Bench.DisposeAsync();
    }
}

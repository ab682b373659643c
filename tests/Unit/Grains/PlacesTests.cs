using DistMigrate.Contracts;
using DistMigrate.Grains;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Unit.Grains;

/// <summary>The places of hosts and storages, as coordinators ask for them.</summary>
public sealed class PlacesTests(GrainCluster cluster) : IClassFixture<GrainCluster>
{
    private IHostGrain Source => cluster.Grains.GetGrain<IHostGrain>(GrainCluster.HostA);

    private IHostGrain Target => cluster.Grains.GetGrain<IHostGrain>(GrainCluster.HostB);

    [Fact]
    public async Task A_target_gives_its_places_in_order_starts_nothing_and_takes_them_back_when_a_coordinator_has_ended()
    {
        var moves = await EnqueueAsync("in-1", "in-2", "in-3");
        Assert.Equal("0, 0, 1", await EachAsync(moves, Target.Reserve));
        Assert.Equal("0, 0, 1", await EachAsync(moves, Target.Reserve));
        Assert.Equal(1, await Target.GetQueuePosition("in-3"));
        var status = await Target.GetStatus();
        Assert.Equal(["in-1", "in-2", "in-3"], status.Places.Select(place => place.Id));
        Assert.All(status.Places, place => Assert.Equal((PlaceKind.Incoming, GrainCluster.HostA), (place.Place, place.Host)));
        Assert.Equal((2, 2, 0), (status.InUse(PlaceKind.Incoming), status.MaxIncoming, status.InUse(PlaceKind.Outgoing)));

        await FailAsync("in-1");
        await Wait.UntilAsync(async () => await Target.Reserve(moves[2]) == 0, "the place of the one that failed goes to the next");

        // The round that saw the end has seen this one too.
        Assert.Null((await cluster.Grains.GetGrain<IMigrationGrain>("in-2").GetStatus()).Started);
        await ReleaseAsync("in-2", "in-3");
    }

    [Fact]
    public async Task A_move_that_waits_at_its_target_may_be_withdrawn_and_one_that_has_its_place_gives_it_back_at_its_end()
    {
        var moves = await EnqueueAsync("out-1", "out-2", "out-3", "out-4");
        Assert.Equal("0, 0, 1, 2", await EachAsync(moves, Target.Reserve));
        Assert.False(await Target.Withdraw("out-1"));
        Assert.True(await Target.Withdraw("out-3"));
        Assert.False(await Target.Withdraw("out-3"));
        Assert.Equal(1, await Target.GetQueuePosition("out-4"));
        await Target.Ended("out-1");
        await Wait.UntilAsync(async () => await Target.Reserve(moves[3]) == 0, "the next has the place");
        await ReleaseAsync("out-2", "out-4");
    }

    [Fact]
    public async Task A_guest_has_one_migration_on_a_host_whatever_the_direction()
    {
        var move = (await EnqueueAsync("busy-1"))[0];
        Assert.Equal(0, await Target.Reserve(move));
        var request = move.Request with { ImagePath = cluster.Image("busy-other.image") };
        var refused = await Assert.ThrowsAsync<MigrationException>(() => Target.Submit(request, "busy-2"));
        Assert.Equal(FailureReason.GuestBusy, refused.Reason);
        Assert.Contains("busy-1", refused.Message, StringComparison.Ordinal);
        await ReleaseAsync("busy-1");
    }

    [Fact]
    public async Task A_migration_that_has_ended_is_in_nobodys_way_also_before_its_place_is_given_back()
    {
        var move = (await EnqueueAsync("ended-1"))[0];
        Assert.Equal(0, await Target.Reserve(move));
        await FailAsync("ended-1");
        await Target.Submit(move.Request with { ImagePath = cluster.Image("ended-other.image") }, "ended-2");
        await ReleaseAsync("ended-1", "ended-2");
    }

    [Fact]
    public async Task Incoming_places_are_not_those_of_saves()
    {
        var moves = await EnqueueAsync("both-1", "both-2", "both-3");
        Assert.Equal("0, 0, 1", await EachAsync(moves, Target.Reserve));
        var save = await Target.Submit(moves[0].Request with { Guest = "both-save", ImagePath = cluster.Image("both-save.image") }, "both-save");
        Assert.Equal(Path.GetDirectoryName(cluster.Image("x")), save.Storage);
        await Wait.UntilAsync(
            async () => (await cluster.Grains.GetGrain<IMigrationGrain>("both-save").GetStatus()).Phase.IsEnd(), "the save did not wait for the moves");
        await ReleaseAsync("both-1", "both-2", "both-3");
    }

    [Fact]
    public async Task A_storage_has_places_for_the_whole_cluster_and_takes_them_back()
    {
        var storage = Storage("/storage-1");
        var migrations = await EnqueueAsync("s-1", "s-2", "s-3", "s-4", "s-5", "s-6", "s-7");
        Assert.Equal("0, 0, 0, 0, 1, 2, 3", await EachAsync(migrations, storage.Reserve));
        Assert.Equal("0, 0, 0, 0, 1, 2, 3", await EachAsync(migrations, storage.Reserve));
        var status = await storage.GetStatus();
        Assert.Equal(("/storage-1", 4, 7), (status.Path, status.Limit, status.Places.Count));
        Assert.All(status.Places, place => Assert.Equal(PlaceKind.Storage, place.Place));

        await storage.Ended("s-5");
        await Wait.UntilAsync(async () => await storage.Reserve(migrations[6]) == 2, "the one cancelled while it waited is gone");
        await storage.Ended("s-2");
        await Wait.UntilAsync(async () => await storage.Reserve(migrations[5]) == 0, "the next has its place");
        await FailAsync("s-1");
        await Wait.UntilAsync(async () => await storage.Reserve(migrations[6]) == 0, "the place of the one that failed goes to the last");
        Assert.Null((await cluster.Grains.GetGrain<IMigrationGrain>("s-7").GetStatus()).Started);
    }

    [Fact]
    public async Task A_place_whose_coordinator_nobody_knows_is_given_back()
    {
        await Target.Reserve(Move("lost"));
        await Storage("/storage-2").Reserve(Move("lost"));
        await Wait.UntilAsync(async () => (await Target.GetStatus()).Places.Count == 0, "the target's place is free");
        await Wait.UntilAsync(async () => (await Storage("/storage-2").GetStatus()).Places.Count == 0, "the storage's place is free");
    }

    [Fact]
    public async Task Places_are_remembered_and_one_that_could_not_be_is_not_given()
    {
        var moves = await EnqueueAsync("kept-1", "kept-2", "kept-3");
        Assert.Equal("0, 0, 1", await EachAsync(moves, Target.Reserve));
        Assert.Equal(["kept-1 True", "kept-2 True", "kept-3 False"], await RememberedAsync("host", GrainId.Create("distmigrate.host", GrainCluster.HostB)));
        await ReleaseAsync("kept-1", "kept-2", "kept-3");

        var key = GrainId.Create("distmigrate.storage", "/storage-3");
        cluster.Storage.FailNextWriteOf = "storage";
        var refused = await Assert.ThrowsAsync<MigrationException>(() => Storage("/storage-3").Reserve(moves[0]));
        Assert.Equal(FailureReason.StateUnavailable, refused.Reason);
        Assert.Equal(0, await Storage("/storage-3").Reserve(moves[0]));
        Assert.Equal(["kept-1 True"], await RememberedAsync("storage", key));
    }

    private IStorageGrain Storage(string path) => cluster.Grains.GetGrain<IStorageGrain>(path);

    /// <summary>A migration of host-a, whose monitor does not answer.</summary>
    private MigrationSpec Move(string id) => new(id, GrainCluster.HostA, DateTimeOffset.UnixEpoch, new MigrationRequest(
        MigrationKind.Save, id, cluster.Image("no.sock"), cluster.Image($"{id}.image"), new SaveOptions(), null));

    private async Task<MigrationSpec[]> EnqueueAsync(params string[] ids)
    {
        var specs = ids.Select(Move).ToArray();
        foreach (var spec in specs)
            await cluster.Grains.GetGrain<IMigrationGrain>(spec.Id).Enqueue(spec);
        return specs;
    }

    private async Task FailAsync(string id)
    {
        var migration = cluster.Grains.GetGrain<IMigrationGrain>(id);
        await migration.Start();
        await Wait.UntilAsync(async () => (await migration.GetStatus()).Phase == MigrationPhase.Failed, $"{id} has failed");
    }

    private async Task ReleaseAsync(params string[] ids)
    {
        foreach (var id in ids)
            await Target.Ended(id);
        await Wait.UntilAsync(async () => (await Target.GetStatus()).Places.Count == 0, "the target has no migration");
    }

    /// <summary>What each got, in their order.</summary>
    private static async Task<string> EachAsync(IEnumerable<MigrationSpec> specs, Func<MigrationSpec, Task<int>> reserve)
    {
        List<int> positions = [];
        foreach (var spec in specs)
            positions.Add(await reserve(spec));
        return string.Join(", ", positions);
    }

    private async Task<IEnumerable<string>> RememberedAsync(string name, GrainId grain)
    {
        var state = new GrainState<AdmissionQueue>(new AdmissionQueue());
        await cluster.Storage.ReadStateAsync(name, grain, state);
        return state.State!.Places.Select(place => $"{place.Spec.Id} {place.IsHeld}");
    }
}

using DistMigrate.Contracts;
using DistMigrate.Grains;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Unit.Grains;

public sealed class GrainClusterTests(GrainCluster cluster) : IClassFixture<GrainCluster>
{
    private static readonly SaveOptions Save = new();

    [Theory]
    [InlineData(GrainCluster.HostA)]
    [InlineData(GrainCluster.HostB)]
    public async Task A_host_grain_is_on_the_silo_of_its_host(string host) =>
        Assert.Equal(host, (await cluster.Grains.GetGrain<IHostGrain>(host).GetStatus()).Host);

    [Fact]
    public async Task A_grain_of_a_host_that_has_no_silo_is_refused_with_a_reason()
    {
        const string missing = "host-x";
        var calls = new Func<Task>[]
        {
            () => cluster.Grains.GetGrain<IHostGrain>(missing).GetStatus(),
            () => cluster.Grains.GetGrain<IRamBlockGrain>(GrainKeys.RamBlock(missing, "vm1", "pc.ram")).GetStatus(),
            () => cluster.Grains.GetGrain<IImageWriterGrain>(GrainKeys.OnHost(missing, "m1")).GetStatus(),
            () => cluster.Grains.GetGrain<IImageLoaderGrain>(GrainKeys.OnHost(missing, "m1")).GetStatus(),
        };
        foreach (var call in calls)
        {
            var error = await Assert.ThrowsAsync<MigrationException>(call);
            Assert.Equal(FailureReason.HostUnavailable, error.Reason);
            Assert.Contains(missing, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_block_that_no_migration_has_set_up_is_idle()
    {
        var status = await cluster.Grains.GetGrain<IRamBlockGrain>(GrainKeys.RamBlock(GrainCluster.HostB, "vm1", "0000:00:02.0/vga.vram")).GetStatus();
        Assert.Equal((BlockActivity.Idle, "0000:00:02.0/vga.vram"), (status.Activity, status.Name));
    }

    [Fact]
    public async Task A_migration_that_nobody_knows_is_told_as_not_found() =>
        Assert.Equal(FailureReason.NotFound, (await Assert.ThrowsAsync<MigrationException>(() => cluster.Grains.GetGrain<IMigrationGrain>("nobody").GetStatus())).Reason);

    [Theory]
    [InlineData(GrainCluster.HostA)]
    [InlineData(GrainCluster.HostB)]
    public async Task A_save_of_a_guest_that_does_not_answer_fails_with_its_reason_and_frees_its_place(string host)
    {
        var id = $"unreachable-{host}";
        var spec = await SubmitAsync(host, id, "vm-gone");
        Assert.Equal((id, host), (spec.Id, spec.Host));
        await EndAsync(id);
        var status = await cluster.Grains.GetGrain<IMigrationGrain>(id).GetStatus();
        Assert.Equal((MigrationPhase.Failed, FailureReason.GuestUnreachable), (status.Phase, status.Reason));
        await RecordedAsFailedAsync(id);
        await Wait.UntilAsync(async () => (await cluster.Grains.GetGrain<IHostGrain>(host).GetStatus()) is { Running: [], Queued: [] }, "the host has no migration");
    }

    [Fact]
    public async Task A_migration_that_has_ended_stays_ended_when_it_is_submitted_once_more()
    {
        const string id = "ended";
        var first = await SubmitAsync(GrainCluster.HostA, id, "vm-ended");
        await EndAsync(id);
        await RecordedAsFailedAsync(id);

        // As the supervisor does that read the catalog a moment before.
        await SubmitAsync(GrainCluster.HostA, id, "vm-ended");
        Assert.Equal(MigrationPhase.Failed, await RecordedAsync(id));
        var status = await cluster.Grains.GetGrain<IMigrationGrain>(id).GetStatus();
        Assert.Equal((MigrationPhase.Failed, first.Submitted), (status.Phase, status.Spec.Submitted));
        await Wait.UntilAsync(async () => (await cluster.Grains.GetGrain<IHostGrain>(GrainCluster.HostA).GetStatus()) is { Running: [], Queued: [] }, "its place is free");
    }

    [Fact]
    public async Task A_submission_that_could_not_be_recorded_holds_no_place_and_may_be_repeated()
    {
        const string id = "repeated";
        cluster.Storage.FailNextWriteOf = "catalog";
        await Assert.ThrowsAnyAsync<Exception>(() => SubmitAsync(GrainCluster.HostB, id, "vm-repeated"));
        Assert.Null(cluster.Storage.FailNextWriteOf);
        await SubmitAsync(GrainCluster.HostB, id, "vm-repeated");
        await EndAsync(id);
        await RecordedAsFailedAsync(id);
    }

    [Theory]
    [InlineData("migration")]
    [InlineData("host")]
    [InlineData("catalog")]
    public async Task A_migration_waits_for_grain_storage_and_then_goes_on(string state)
    {
        var id = $"waits-{state}";
        cluster.Storage.FailWritesOf = state;
        var first = await Record.ExceptionAsync(() => SubmitAsync(GrainCluster.HostA, id, $"vm-{state}"));
        Assert.True(first is null or MigrationException { Reason: FailureReason.StateUnavailable }, first?.ToString());
        await Wait.UntilAsync(() => cluster.Storage.Failures >= 3 || first is not null, "it tries again and again");
        cluster.Storage.FailWritesOf = null;
        await SubmitAsync(GrainCluster.HostA, id, $"vm-{state}");
        await EndAsync(id);
        Assert.Equal(FailureReason.GuestUnreachable, (await cluster.Grains.GetGrain<IMigrationGrain>(id).GetStatus()).Reason);
        await RecordedAsFailedAsync(id);
    }

    [Theory]
    [InlineData("vm 1", "/nowhere/a.image", "/qmp", FailureReason.InvalidRequest)]
    [InlineData("vm1", "/nowhere/a.image", "/qmp", FailureReason.OutsideStorageRoots)]
    [InlineData("vm1", "relative", "/qmp", FailureReason.OutsideStorageRoots)]
    [InlineData("vm1", null, null, FailureReason.NotFound)]
    [InlineData("vm1", null, "relative.sock", FailureReason.InvalidRequest)]
    public async Task A_request_that_makes_no_sense_is_refused_with_its_reason(string guest, string? image, string? qmp, FailureReason reason)
    {
        var request = new MigrationRequest(MigrationKind.Save, guest, qmp, image ?? cluster.Image("a.image"), Save, null);
        Assert.Equal(reason, (await Assert.ThrowsAsync<MigrationException>(() => cluster.Grains.GetGrain<IHostGrain>(GrainCluster.HostA).Submit(request, "refused"))).Reason);
        Assert.Null(await RecordedAsync("refused"));
    }

    [Fact]
    public async Task History_is_bounded_with_all_that_is_kept_of_a_migration()
    {
        var first = await SubmitAsync(GrainCluster.HostA, "oldest", "vm-old");
        await RecordedAsFailedAsync(first.Id);
        var migration = cluster.Grains.GetGrain<IMigrationGrain>(first.Id);
        Assert.Equal(MigrationPhase.Failed, (await migration.GetStatus()).Phase);
        var catalog = cluster.Grains.GetGrain<ICatalogGrain>(CatalogShards.ShardOf(first.Id));
        var later = (await migration.GetStatus()).PhaseSince.AddMilliseconds(1);
        for (var i = 0; i < 110; i++)
            await catalog.Record(new MigrationSummary(first with { Id = $"later-{i}" }, MigrationPhase.Completed, FailureReason.None, later));
        Assert.Equal(100, (await catalog.List()).Count(known => known.Phase.IsEnd()));
        await Wait.UntilAsync(
            async () => await Record.ExceptionAsync(() => migration.GetStatus()) is MigrationException { Reason: FailureReason.NotFound }, "the oldest is forgotten");
    }

    [Theory]
    [InlineData("../x")]
    [InlineData("a/b")]
    [InlineData("")]
    public async Task An_id_that_could_not_be_a_file_name_is_refused(string id) =>
        Assert.Equal(FailureReason.InvalidRequest, (await Assert.ThrowsAsync<MigrationException>(() => SubmitAsync(GrainCluster.HostA, id, "vm1"))).Reason);

    [Theory]
    [InlineData(65, 0)]
    [InlineData(-1, 0)]
    [InlineData(0, 1000)]
    [InlineData(0, -1)]
    public async Task Options_out_of_range_are_refused(int writers, long bandwidth)
    {
        var request = new MigrationRequest(
            MigrationKind.Save, "vm1", "/qmp", cluster.Image("a.image"), Save with { Writers = writers, BandwidthLimit = bandwidth }, null);
        Assert.Equal(
            FailureReason.InvalidRequest,
            (await Assert.ThrowsAsync<MigrationException>(() => cluster.Grains.GetGrain<IHostGrain>(GrainCluster.HostA).Submit(request, "refused"))).Reason);
    }

    [Fact]
    public async Task A_command_of_an_unknown_migration_answers_that_the_silo_knows_nothing_of_it()
    {
        var spec = new MigrationSpec("lost", GrainCluster.HostA, default, new MigrationRequest(MigrationKind.Save, "vm1", "/qmp", cluster.Image("a.image"), Save, null));
        var command = new HostCommand(spec, new FencingToken(1, Guid.NewGuid()), TimeSpan.FromSeconds(1));
        var writer = cluster.Grains.GetGrain<IImageWriterGrain>(GrainKeys.OnHost(GrainCluster.HostA, "lost"));
        Assert.Equal(HostStep.Unknown, (await writer.StopGuest(command)).Step);
        Assert.Equal(HostStep.Unknown, (await writer.Publish(command)).Step);
        var aborted = await writer.Abort(command);
        Assert.Equal((HostStep.Done, false), (aborted.Step, aborted.IsPublished));
        var block = cluster.Grains.GetGrain<IRamBlockGrain>(GrainKeys.RamBlock(GrainCluster.HostA, "vm1", "pc.ram"));
        var error = await Assert.ThrowsAsync<MigrationException>(() => block.Iterate(new BlockCommand("lost", command.Token, 1, TimeSpan.Zero)));
        Assert.Equal(FailureReason.SiloRestarted, error.Reason);
    }

    [Fact]
    public async Task A_command_meant_for_the_attempt_of_an_earlier_silo_answers_that_this_one_knows_nothing_of_it()
    {
        var spec = new MigrationSpec("reborn", GrainCluster.HostA, default,
            new MigrationRequest(MigrationKind.Save, "vm1", cluster.Image("no.sock"), cluster.Image("reborn.image"), Save, null));
        var command = new HostCommand(spec, new FencingToken(1, Guid.NewGuid()), TimeSpan.FromSeconds(10));
        var writer = cluster.Grains.GetGrain<IImageWriterGrain>(GrainKeys.OnHost(GrainCluster.HostA, "reborn"));
        var opened = await writer.Open(command);
        Assert.Equal(HostStep.Failed, opened.Step);
        Assert.NotEqual(HostStep.Unknown, (await writer.StopGuest(command with { Incarnation = opened.Incarnation })).Step);

        var earlier = Guid.NewGuid();
        Assert.Equal(HostStep.Unknown, (await writer.StopGuest(command with { Incarnation = earlier })).Step);
        Assert.Equal(HostStep.Unknown, (await writer.SwitchOver(command with { Incarnation = earlier })).Step);
        var block = cluster.Grains.GetGrain<IRamBlockGrain>(GrainKeys.RamBlock(GrainCluster.HostA, "vm1", "pc.ram"));
        var error = await Assert.ThrowsAsync<MigrationException>(() => block.Iterate(new BlockCommand("reborn", command.Token, 1, TimeSpan.Zero, earlier)));
        Assert.Equal(FailureReason.SiloRestarted, error.Reason);
        await writer.Release(command);
    }

    private Task<MigrationSpec> SubmitAsync(string host, string id, string guest) => cluster.Grains.GetGrain<IHostGrain>(host).Submit(
        new MigrationRequest(MigrationKind.Save, guest, cluster.Image("no.sock"), cluster.Image($"{id}.image"), Save, null), id);

    private Task EndAsync(string id) =>
        Wait.UntilAsync(async () => (await cluster.Grains.GetGrain<IMigrationGrain>(id).GetStatus()).Phase.IsEnd(), $"{id} has ended");

    private Task RecordedAsFailedAsync(string id) =>
        Wait.UntilAsync(async () => await RecordedAsync(id) == MigrationPhase.Failed, $"the end of {id} is in the catalog");

    private async Task<MigrationPhase?> RecordedAsync(string id) =>
        (await cluster.Grains.GetGrain<ICatalogGrain>(CatalogShards.ShardOf(id)).List()).FirstOrDefault(migration => migration.Spec.Id == id)?.Phase;
}

using DistMigrate.Contracts;
using DistMigrate.Tests.Unit.Grains;
using DistMigrate.Tests.Unit.MappedRam;

namespace DistMigrate.Tests.Unit.Client;

/// <summary>What <c>gc</c> asks of a host's silo.</summary>
public sealed class HostLeftoversTests(GrainCluster cluster) : IClassFixture<GrainCluster>
{
    private IHostGrain Host => cluster.Grains.GetGrain<IHostGrain>(GrainCluster.HostA);

    [Fact]
    public async Task What_nobody_owns_is_found_and_removed_and_what_an_unfinished_migration_needs_stays()
    {
        var orphan = Write("orphan.img", "m-orphan");
        var paused = Write("paused.img", "m-paused");
        var ended = Write("ended.img", "m-ended");
        await RecordAsync("m-paused", MigrationPhase.Paused);
        await RecordAsync("m-ended", MigrationPhase.Failed);

        var found = (await Host.FindLeftovers()).ToDictionary(file => file.Path);
        Assert.Equal(("m-orphan", "guest \"ü\"", false), (found[orphan].Migration, found[orphan].Guest, found[orphan].IsOwned));
        Assert.Contains("is not known here", found[orphan].Remark, StringComparison.Ordinal);
        Assert.Equal(("m-ended", false, ""), (found[ended].Migration, found[ended].IsOwned, found[ended].Remark));
        Assert.True(found[paused].IsOwned);
        Assert.Contains("m-paused of guest web (paused)", found[paused].Remark, StringComparison.Ordinal);

        var outside = Path.Combine(Path.GetTempPath(), "dm-elsewhere.img.journal");
        var outcome = (await Host.RemoveLeftovers([orphan, paused, ended, outside])).ToDictionary(file => file.Path);
        Assert.Equal((true, true, false, false), (outcome[orphan].IsRemoved, outcome[ended].IsRemoved, outcome[paused].IsRemoved, outcome[outside].IsRemoved));
        Assert.Equal((false, true), (File.Exists(orphan), File.Exists(paused)));
    }

    [Fact]
    public async Task A_downtime_that_makes_no_sense_is_refused()
    {
        foreach (var downtime in new[] { TimeSpan.FromSeconds(-1), TimeSpan.FromHours(2) })
        {
            var request = new MigrationRequest(
                MigrationKind.Save, "web", "/run/web.qmp", cluster.Image("web.img"), new SaveOptions(MaxDowntime: downtime), Restore: null);
            var refused = await Assert.ThrowsAsync<MigrationException>(() => Host.Submit(request, "m-downtime"));
            Assert.Equal(FailureReason.InvalidRequest, refused.Reason);
            Assert.Contains("downtime", refused.Message, StringComparison.Ordinal);
        }
    }

    private string Write(string image, string migration)
    {
        var path = cluster.Image(image + ".journal");
        File.WriteAllBytes(path, new JournalScript(JournalScript.NewIdentity() with { Migration = migration }).Seal().Bytes);
        return path;
    }

    /// <summary>On a host without a silo, whose supervisor would wake it.</summary>
    private Task RecordAsync(string migration, MigrationPhase phase) => cluster.Grains.GetGrain<ICatalogGrain>(CatalogShards.ShardOf(migration)).Record(
        new MigrationSummary(
            TestMigration.Spec(migration, TestMigration.Moment) with { Host = "host-x" }, phase, FailureReason.None, TestMigration.Moment));
}

using DistMigrate.Contracts;

namespace DistMigrate.Grains;

/// <summary>The migrations of one catalog shard, by id.</summary>
[GenerateSerializer, Alias("distmigrate.CatalogState")]
internal sealed class CatalogState
{
    [Id(0)] public Dictionary<string, MigrationSummary> Migrations { get; set; } = [];
}

/// <inheritdoc cref="ICatalogGrain"/>
[GrainType("distmigrate.catalog")]
internal sealed class CatalogGrain([PersistentState("catalog", StorageNames.Migrations)] IPersistentState<CatalogState> state) : Grain, ICatalogGrain
{
    /// <summary>Ended migrations that a shard remembers.</summary>
    private const int MaxEnded = 100;

    public async Task Record(MigrationSummary summary)
    {
        var migrations = state.State.Migrations;

        // What has ended stays ended: a supervisor may submit once more what it read here a moment before.
        if (!summary.Phase.IsEnd() && migrations.TryGetValue(summary.Spec.Id, out var known) && known.Phase.IsEnd())
            return;
        migrations[summary.Spec.Id] = summary;
        var forgotten = migrations.Values.Where(m => m.Phase.IsEnd()).OrderByDescending(m => m.Changed).Skip(MaxEnded).Select(m => m.Spec.Id).ToArray();
        foreach (var id in forgotten)
            migrations.Remove(id);
        await state.RememberAsync();

        // Their coordinators' states would stay in grain storage for ever.
        foreach (var id in forgotten)
            await GrainFactory.GetGrain<IMigrationGrain>(id).Forget();
    }

    public Task<IReadOnlyList<MigrationSummary>> List() =>
        Task.FromResult<IReadOnlyList<MigrationSummary>>([.. state.State.Migrations.Values.OrderByDescending(m => m.Spec.Submitted)]);
}

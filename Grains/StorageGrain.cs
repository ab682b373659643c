using DistMigrate.Contracts;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace DistMigrate.Grains;

/// <inheritdoc cref="IStorageGrain"/>
[GrainType("distmigrate.storage")]
internal sealed class StorageGrain(
    [PersistentState("storage", StorageNames.Migrations)] IPersistentState<AdmissionQueue> queue,
    IOptions<HostOptions> options,
    IGrainFactory grains,
    TimeProvider time,
    ILogger<StorageGrain> logger) : Grain, IStorageGrain
{
    private readonly PlaceRegister _places = new(queue, _ => options.Value.MaxPerStorage, host: null, grains, time, logger);

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        this.RegisterGrainTimer(
            _ => _places.ReconcileAsync(), new GrainTimerCreationOptions { DueTime = TimeSpan.Zero, Period = PlaceRegister.ReconcileEvery });
        return Task.CompletedTask;
    }

    public Task<int> Reserve(MigrationSpec spec) => _places.ReserveAsync(spec, PlaceKind.Storage);

    public async Task Ended(string migrationId)
    {
        if (_places.Remove(migrationId))
            await _places.DispatchAsync();
    }

    public Task<StorageStatus> GetStatus() => Task.FromResult(new StorageStatus(this.GetPrimaryKeyString(), options.Value.MaxPerStorage, _places.Entries));
}

using DistMigrate.Contracts;
using DistMigrate.Transfer;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace DistMigrate.Grains.Metrics;

/// <summary>Looks at the storage now and then for the metrics, so that whoever looks at those does not have to.</summary>
internal sealed partial class StorageSampler(
    HostMetrics metrics, StorageSpaces spaces, IGrainFactory grains, IOptions<HostOptions> options, TimeProvider time, ILogger<StorageSampler> logger) : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(15);

    /// <summary>Looking through the folders costs the storage more than asking for its free space.</summary>
    private static readonly TimeSpan ImagesEvery = TimeSpan.FromMinutes(5);

    private readonly HostOptions _options = options.Value;
    private Task _images = Task.CompletedTask;
    private long _imagesAt;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        RequestContext.Set(MigrationSupervisor.RoundMark, true);
        using var timer = new PeriodicTimer(Every, time);
        do
        {
            metrics.Show(await spaces.AskAsync());

            // A storage that hangs costs one thread: there is no second look before the first has ended.
            if (_options.AreStorageRootsChosen && _images.IsCompleted && (_imagesAt == 0 || time.GetElapsedTime(_imagesAt) > ImagesEvery))
            {
                _imagesAt = time.GetTimestamp();
                _images = MeasureAsync(stoppingToken);
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    private async Task MeasureAsync(CancellationToken cancellationToken)
    {
        try
        {
            var saves = KnownSaves.Of(await WholeCatalog.ReadAsync(grains));
            metrics.Show(await new ImageInventory(_options.StorageRoots, saves).MeasureAsync(cancellationToken));
        }
        catch (Exception e) when (e is OrleansException or TimeoutException or MigrationException or IOException or UnauthorizedAccessException)
        {
            metrics.Show(Array.Empty<ImageSpace>());
            LogNotMeasured(logger, e);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The silo ends.
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "What images take on the storage could not be measured; it is tried again in a few minutes")]
    private static partial void LogNotMeasured(ILogger logger, Exception exception);
}

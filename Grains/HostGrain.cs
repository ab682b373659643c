using System.Reflection;
using DistMigrate.Contracts;
using DistMigrate.Grains.Placement;
using DistMigrate.Transfer;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace DistMigrate.Grains;

/// <inheritdoc cref="IHostGrain"/>
[HostPinned, GrainType("distmigrate.host")]
internal sealed partial class HostGrain(
    [PersistentState("host", StorageNames.Migrations)] IPersistentState<AdmissionQueue> queue,
    IOptions<HostOptions> options,
    TimeProvider time,
    ILogger<HostGrain> logger) : Grain, IHostGrain
{
    private readonly HostOptions _options = options.Value;

    private AdmissionQueue Queue => queue.State;

    /// <summary>How often the queue is compared with what the coordinators say.</summary>
    private static readonly TimeSpan ReconcileEvery = TimeSpan.FromSeconds(2);

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        this.RegisterGrainTimer(ReconcileAsync, new GrainTimerCreationOptions { DueTime = TimeSpan.Zero, Period = ReconcileEvery });
        return Task.CompletedTask;
    }

    public async Task<MigrationSpec> Submit(MigrationRequest request, string id)
    {
        GrainKeys.CheckName("migration", id);
        if (Queue.Find(id) is { } known)
            return known;
        var spec = new MigrationSpec(id, _options.Name, time.GetUtcNow(), Check(request));
        Queue.Add(spec);
        try
        {
            await Catalog(id).Record(new MigrationSummary(spec, MigrationPhase.Queued, FailureReason.None, spec.Submitted));
            await Migration(id).Enqueue(spec);
        }
        catch
        {
            // A submission that nobody recorded must not hold a place; the same id may be submitted again.
            Queue.Remove(id);
            throw;
        }

        await DispatchAsync();
        return spec;
    }

    public async Task Ended(string migrationId)
    {
        if (Queue.Remove(migrationId))
            await DispatchAsync();
    }

    public async Task<bool> Withdraw(string migrationId)
    {
        if (Queue.PositionOf(migrationId) == 0)
            return false;
        Queue.Remove(migrationId);
        await queue.WriteStateAsync();
        return true;
    }

    public Task<HostStatus> GetStatus() => Task.FromResult(new HostStatus(
        _options.Name,
        typeof(HostGrain).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "",
        [.. Queue.Running.Select(spec => spec.Id)], [.. Queue.Queued.Select(spec => spec.Id)],
        [.. _options.Guests.Keys.Order(StringComparer.Ordinal)], _options.StorageRoots));

    public Task<int> GetQueuePosition(string migrationId) => Task.FromResult(Queue.PositionOf(migrationId));

    /// <summary>Starts what the limit allows. The queue is written first: what was started twice starts once.</summary>
    private async Task DispatchAsync()
    {
        List<MigrationSpec> started = [];
        while (Queue.StartNext(_options.MaxRunning) is { } next)
            started.Add(next);
        await queue.WriteStateAsync();
        foreach (var spec in started)
            await Migration(spec.Id).Start();
    }

    /// <summary>Sets right what the loss of a silo or of a message left: ended migrations free their place, admitted ones start.</summary>
    private async Task ReconcileAsync(CancellationToken cancellationToken)
    {
        var freed = false;
        foreach (var spec in Queue.Running.ToArray())
        {
            try
            {
                var status = await Migration(spec.Id).GetStatus();
                if (status.Phase.IsEnd())
                    freed |= Queue.Remove(spec.Id);
                else if (status.Phase == MigrationPhase.Queued)
                    await Migration(spec.Id).Start();
            }
            catch (Exception e) when (e is OrleansException or TimeoutException or MigrationException)
            {
                // The next round asks again; the others are not to wait for this one.
                LogNoAnswer(logger, spec.Id, e);
            }
        }

        if (freed || Queue.Queued.Count > 0)
            await DispatchAsync();
    }

    private IMigrationGrain Migration(string id) => GrainFactory.GetGrain<IMigrationGrain>(id);

    private ICatalogGrain Catalog(string id) => GrainFactory.GetGrain<ICatalogGrain>(CatalogShards.ShardOf(id));

    private MigrationRequest Check(MigrationRequest request)
    {
        GrainKeys.CheckName("guest", request.Guest);
        var qmpPath = request.QmpPath ?? _options.Guests.GetValueOrDefault(request.Guest)
            ?? throw new MigrationException(FailureReason.NotFound,
                $"Host {_options.Name} knows no guest {request.Guest}. Name its monitor socket with --qmp, or add it to the silo's configuration (Guests).");
        if (!Path.IsPathFullyQualified(qmpPath))
            throw new MigrationException(FailureReason.InvalidRequest, $"The monitor path '{qmpPath}' is not absolute. Give it from the root on.");
        if (request.Kind == MigrationKind.Save)
            Check(request.Save ?? throw new MigrationException(FailureReason.InvalidRequest, "A save needs its options."));
        else if (request.Restore is not { Channels: >= 0 and <= 64 })
            throw new MigrationException(FailureReason.InvalidRequest, "The number of channels is 0 to 64.");
        return request with { QmpPath = qmpPath, ImagePath = new StorageRoots(_options.StorageRoots).Resolve(request.ImagePath) };
    }

    private static void Check(SaveOptions save)
    {
        if (save.Writers is < 0 or > 64)
            throw new MigrationException(FailureReason.InvalidRequest, "The number of writers is 1 to 64.");
        if (save.BandwidthLimit is not 0 and < WriterOptions.LeastBandwidth)
            throw new MigrationException(FailureReason.InvalidRequest, $"The bandwidth limit is at least {WriterOptions.LeastBandwidth / 1024} KiB/s.");
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Migration {Id} does not tell how it stands; it is asked again")]
    private static partial void LogNoAnswer(ILogger logger, string id, Exception exception);
}

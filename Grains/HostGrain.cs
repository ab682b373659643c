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
    private readonly StorageSpaces _spaces = new(options.Value.StorageRoots, time);

    private AdmissionQueue Queue => queue.State;

    /// <summary>How long storage may take to tell what is left over: a client waits ten seconds for an answer.</summary>
    private static readonly TimeSpan StorageLimit = TimeSpan.FromSeconds(8);

    /// <summary>The longest downtime that a save may allow a fault.</summary>
    private static readonly TimeSpan MostDowntime = TimeSpan.FromHours(1);

    /// <summary>The call to storage under way, one at a time: each may take a thread for good.</summary>
    private Task _storageCall = Task.CompletedTask;

    /// <summary>Those that wait for storage or a person: they take no place, so that one bad storage does not stop the others' migrations.
    /// When they go on, more than the limit may run for a while.</summary>
    private readonly HashSet<string> _parked = [];

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
        request = Check(request);
        request = request with { ImagePath = await StorageRoots.ResolveAsync(_options.StorageRoots, request.ImagePath, time) };
        var spec = new MigrationSpec(id, _options.Name, time.GetUtcNow(), request);
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
        var position = Queue.PositionOf(migrationId);
        if (position == 0)
            return false;
        var spec = Queue.Queued[position - 1];
        Queue.Remove(migrationId);
        try
        {
            await queue.RememberAsync();
            return true;
        }
        catch
        {
            // It waits until it is remembered that it does not.
            Queue.PutBack(spec, position);
            throw;
        }
    }

    public async Task<HostStatus> GetStatus() => new(
        _options.Name,
        typeof(HostGrain).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "",
        [.. Queue.Running.Select(spec => spec.Id)], [.. Queue.Queued.Select(spec => spec.Id)],
        [.. _options.Guests.Keys.Order(StringComparer.Ordinal)], _options.StorageRoots, [.. (await _spaces.AskAsync()).Select(space => new StorageSpace(space.Path, space.FreeBytes, space.TotalBytes))]);

    public Task<IReadOnlyList<Leftover>> FindLeftovers() => AskStorageAsync((leftovers, limit) => leftovers.FindAsync(limit));

    public Task<IReadOnlyList<Leftover>> RemoveLeftovers(IReadOnlyList<string> paths) =>
        AskStorageAsync((leftovers, limit) => leftovers.RemoveAsync(paths, limit));

    public Task<int> GetQueuePosition(string migrationId) => Task.FromResult(Queue.PositionOf(migrationId));

    /// <summary>Starts what the limit allows. The queue is written first: what was started twice starts once.</summary>
    private async Task DispatchAsync()
    {
        List<MigrationSpec> started = [];
        while (Queue.StartNext(_options.MaxRunning + _parked.Count) is { } next)
            started.Add(next);
        await queue.RememberAsync();
        foreach (var spec in started)
            await Migration(spec.Id).Start();
    }

    /// <summary>Sets right what the loss of a silo or of a message left: ended migrations free their place, admitted ones start.</summary>
    private async Task ReconcileAsync(CancellationToken cancellationToken)
    {
        var freed = false;
        _parked.IntersectWith(Queue.Running.Select(spec => spec.Id));
        foreach (var spec in Queue.Running.ToArray())
        {
            try
            {
                var status = await Migration(spec.Id).GetStatus();
                if (status.Phase.IsEnd())
                    freed |= Queue.Remove(spec.Id);
                else if (status.Phase == MigrationPhase.Queued)
                    await Migration(spec.Id).Start();
                if (status.Phase is MigrationPhase.Paused or MigrationPhase.NeedsAttention)
                    _parked.Add(spec.Id);
                else
                    _parked.Remove(spec.Id);
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

    private async Task<IReadOnlyList<Leftover>> AskStorageAsync(Func<Leftovers, CancellationToken, Task<IReadOnlyList<LeftoverFile>>> call)
    {
        using var limit = new CancellationTokenSource(StorageLimit, time);
        try
        {
            while (!_storageCall.IsCompleted)
                await Task.WhenAny(_storageCall).WaitAsync(limit.Token);

            // Who owns what is asked before the files are looked at: what begins later holds its lock.
            var files = AskCatalogAndStorageAsync(call, limit.Token);
            _storageCall = files;
            return [.. (await files.WaitAsync(limit.Token)).Select(file => new Leftover(
                file.Path, file.Bytes, file.Changed, file.Migration, file.Guest, file.IsOwned, file.IsRemoved, file.Remark))];
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            throw new MigrationException(FailureReason.StorageStalled,
                $"The storage of host {_options.Name} ({string.Join(", ", _options.StorageRoots)}) did not answer within {StorageLimit.TotalSeconds:0} s. "
                + "Look at the storage and the host's kernel log, or choose narrower storage roots, then try again.");
        }
    }

    private async Task<IReadOnlyList<LeftoverFile>> AskCatalogAndStorageAsync(
        Func<Leftovers, CancellationToken, Task<IReadOnlyList<LeftoverFile>>> call, CancellationToken cancellationToken)
    {
        var shards = await Task.WhenAll(Enumerable.Range(0, CatalogShards.Count).Select(shard => GrainFactory.GetGrain<ICatalogGrain>(shard).List()));
        var saves = shards.SelectMany(shard => shard)
            .Where(migration => migration.Spec.Request.Kind == MigrationKind.Save)
            .Select(migration => new KnownSave(
                migration.Spec.Id, migration.Spec.Request.Guest, migration.Spec.Request.ImagePath, migration.Phase.ToName(), !migration.Phase.IsEnd()));
        return await call(new Leftovers(_options.StorageRoots, [.. saves]), cancellationToken);
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
        return request with { QmpPath = qmpPath };
    }

    private static void Check(SaveOptions save)
    {
        if (save.Writers is < 0 or > 64)
            throw new MigrationException(FailureReason.InvalidRequest, "The number of writers is 1 to 64.");
        if (save.BandwidthLimit is not 0 and < WriterOptions.LeastBandwidth)
            throw new MigrationException(FailureReason.InvalidRequest, $"The bandwidth limit is at least {WriterOptions.LeastBandwidth / 1024} KiB/s.");
        if (save.MaxDowntime is { } downtime && (downtime < TimeSpan.Zero || downtime > MostDowntime))
            throw new MigrationException(FailureReason.InvalidRequest, $"The downtime that a fault may cost is at most {MostDowntime.TotalHours:0} hour.");
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Migration {Id} does not tell how it stands; it is asked again")]
    private static partial void LogNoAnswer(ILogger logger, string id, Exception exception);
}

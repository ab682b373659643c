using System.Reflection;
using DistMigrate.Contracts;
using DistMigrate.Grains.Metrics;
using DistMigrate.Grains.Placement;
using DistMigrate.Transfer;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace DistMigrate.Grains;

/// <inheritdoc cref="IHostGrain"/>
[HostPinned, GrainType("distmigrate.host")]
internal sealed class HostGrain(
    [PersistentState("host", StorageNames.Migrations)] IPersistentState<AdmissionQueue> queue,
    IOptions<HostOptions> options,
    IGrainFactory grains,
    HostMetrics metrics,
    StorageSpaces spaces,
    TimeProvider time,
    ILogger<HostGrain> logger) : Grain, IHostGrain
{
    private readonly HostOptions _options = options.Value;
    private readonly KnownGuests _guests = new(options.Value.Guests, options.Value.GuestFolder, time);

    private readonly PlaceRegister _places = new(
        queue, kind => kind == PlaceKind.Outgoing ? options.Value.MaxOutgoing : options.Value.MaxIncoming, options.Value.Name, grains, time, logger);

    /// <summary>How long storage may take to tell what is left over: a client waits ten seconds for an answer.</summary>
    private static readonly TimeSpan StorageLimit = TimeSpan.FromSeconds(8);

    /// <summary>The longest downtime that a save may allow a fault.</summary>
    private static readonly TimeSpan MostDowntime = TimeSpan.FromHours(1);

    private static readonly TimeSpan LeastStall = TimeSpan.FromSeconds(1);

    /// <summary>The call to storage under way, one at a time: each may take a thread for good.</summary>
    private Task _storageCall = Task.CompletedTask;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        this.RegisterGrainTimer(
            async _ =>
            {
                metrics.Show(_places.Entries);
                await _places.ReconcileAsync();
                metrics.Show(_places.Entries);
            },
            new GrainTimerCreationOptions { DueTime = TimeSpan.Zero, Period = PlaceRegister.ReconcileEvery });
        return Task.CompletedTask;
    }

    public async Task<MigrationSpec> Submit(MigrationRequest request, string id)
    {
        GrainKeys.CheckName("migration", id);
        if (_places.Find(id) is { } known)
            return known;
        request = await CheckAsync(request, id);
        request = request with { ImagePath = await StorageRoots.ResolveAsync(_options.StorageRoots, request.ImagePath, time) };
        var storage = await StorageRoots.RootOfAsync(_options.StorageRoots, request.ImagePath, time);
        var spec = new MigrationSpec(id, _options.Name, time.GetUtcNow(), request, storage);
        await _places.AddAsync(spec, KindOf(spec));
        try
        {
            await Catalog(id).Record(new MigrationSummary(spec, MigrationPhase.Queued, FailureReason.None, spec.Submitted));
            await Migration(id).Enqueue(spec);
        }
        catch
        {
            // A submission that nobody recorded must not hold a place; the same id may be submitted again.
            _places.Remove(id);
            throw;
        }

        await _places.DispatchAsync();
        metrics.Show(_places.Entries);
        return spec;
    }

    public Task<int> Reserve(MigrationSpec spec) => _places.ReserveAsync(spec, KindOf(spec));

    public async Task Ended(string migrationId)
    {
        if (_places.Remove(migrationId))
            await _places.DispatchAsync();
    }

    public Task<bool> Withdraw(string migrationId) => _places.WithdrawAsync(migrationId);

    public async Task<HostStatus> GetStatus() => new(
        _options.Name,
        typeof(HostGrain).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "",
        _places.Entries, _options.MaxOutgoing, _options.MaxIncoming,
        await _guests.ListAsync(), _options.StorageRoots,
        [.. (await spaces.AskAsync()).Select(space => new StorageSpace(space.Path, space.FreeBytes, space.TotalBytes))],
        HostMemory.ReadAvailable());

    public Task<IReadOnlyList<Leftover>> FindLeftovers() => AskStorageAsync((leftovers, limit) => leftovers.FindAsync(limit));

    public Task<IReadOnlyList<Leftover>> RemoveLeftovers(IReadOnlyList<string> paths) =>
        AskStorageAsync((leftovers, limit) => leftovers.RemoveAsync(paths, limit));

    public Task<int> GetQueuePosition(string migrationId) => Task.FromResult(_places.PositionOf(migrationId));

    /// <summary>A move that another host started comes here, and so does a restore.</summary>
    private PlaceKind KindOf(MigrationSpec spec) =>
        spec.Host == _options.Name && spec.Request.Kind != MigrationKind.Restore ? PlaceKind.Outgoing : PlaceKind.Incoming;

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
        var saves = KnownSaves.Of(await WholeCatalog.ReadAsync(GrainFactory));
        return await call(new Leftovers(_options.StorageRoots, saves), cancellationToken);
    }

    private IMigrationGrain Migration(string id) => GrainFactory.GetGrain<IMigrationGrain>(id);

    private ICatalogGrain Catalog(string id) => GrainFactory.GetGrain<ICatalogGrain>(CatalogShards.ShardOf(id));

    private async Task<MigrationRequest> CheckAsync(MigrationRequest request, string id)
    {
        GrainKeys.CheckName("guest", request.Guest);
        if (request is { Kind: MigrationKind.Restore, QmpPath: null })
            return Check(request, request.Restore);
        var qmpPath = request.QmpPath ?? await _guests.FindAsync(request.Guest)
            ?? throw new MigrationException(FailureReason.NotFound,
                $"Host {_options.Name} knows no guest {request.Guest}. Name its monitor socket with --qmp, add it to the silo's configuration (Guests), or put its socket into {_options.GuestFolder} as {request.Guest}{KnownGuests.Suffix}.");
        if (!Path.IsPathFullyQualified(qmpPath))
            throw new MigrationException(FailureReason.InvalidRequest, $"The monitor path '{qmpPath}' is not absolute. Give it from the root on.");
        request = request with { QmpPath = qmpPath };
        var isMove = request.Kind == MigrationKind.Move || request.Move is not null;
        if (request.Kind != MigrationKind.Restore)
            request = request with { Save = Resolve(isMove, Check(request.Save ?? throw new MigrationException(FailureReason.InvalidRequest, "A save needs its options."))) };
        if (isMove || request.Kind == MigrationKind.Restore)
            Check(request, request.Restore);
        return isMove ? CheckMove(request, id) : request;
    }

    private static MigrationRequest Check(MigrationRequest request, RestoreOptions? restore)
    {
        if (restore is not { Channels: >= 0 and <= 64 })
            throw new MigrationException(FailureReason.InvalidRequest, "The number of channels is 0 to 64.");
        if (restore.Lazy && (request.Kind != MigrationKind.Restore || request.QmpPath is not null))
            throw new MigrationException(FailureReason.InvalidRequest, "Only a QEMU that the host launches can run a guest from its image. Leave the monitor out.");
        return request;
    }

    private MigrationRequest CheckMove(MigrationRequest request, string id)
    {
        var move = request.Move ?? throw new MigrationException(FailureReason.InvalidRequest, "A move needs its options.");
        GrainKeys.CheckName("host", move.Target);
        if (request.Save is { Mode: SaveMode.Snapshot })
        {
            throw new MigrationException(FailureReason.InvalidRequest,
                "A snapshot holds what the guest was at its beginning, so it cannot be moved that way. Choose --mode stream or compare.");
        }

        if (move.Target == _options.Name)
            throw new MigrationException(FailureReason.InvalidRequest, $"Guest {request.Guest} is on host {_options.Name} already. Name another host to move it to.");
        if (move.TargetQmpPath is { } path && !Path.IsPathFullyQualified(path))
            throw new MigrationException(FailureReason.InvalidRequest, $"The monitor path '{path}' is not absolute. Give it from the root on.");
        return request.ImagePath.Length > 0 ? request : request with { ImagePath = Path.Combine(_options.StorageRoots[0], $"{request.Guest}.{id}.img") };
    }

    /// <summary>Where the guest is to run on, it does so while its pages are written.</summary>
    private static SaveOptions Resolve(bool isMove, SaveOptions save) => save.Mode != SaveMode.Auto
        ? save
        : save with { Mode = isMove || save.After == AfterSave.Run ? SaveMode.Stream : SaveMode.Stopped };

    private static SaveOptions Check(SaveOptions save)
    {
        if (save.Writers is < 0 or > 64)
            throw new MigrationException(FailureReason.InvalidRequest, "The number of writers is 1 to 64.");
        if (save.Streams is < 0 or > 64)
            throw new MigrationException(FailureReason.InvalidRequest, "The number of streams is 1 to 64.");
        SaveOptions.CheckBandwidth(save.BandwidthLimit);
        if (save.MaxDowntime is { } downtime && (downtime < TimeSpan.Zero || downtime > MostDowntime))
            throw new MigrationException(FailureReason.InvalidRequest, $"The downtime that a fault may cost is at most {MostDowntime.TotalHours:0} hour.");
        if (save.StallTimeout is { } stall && (stall < LeastStall || stall > MostDowntime))
            throw new MigrationException(FailureReason.InvalidRequest, $"The time after which storage counts as stalled is {LeastStall.TotalSeconds:0} s to {MostDowntime.TotalHours:0} hour.");
        if (save.MostIterations is < 0 or > 1000)
            throw new MigrationException(FailureReason.InvalidRequest, "The number of iterations is 1 to 1000.");
        if (save is { Mode: SaveMode.Snapshot, After: not AfterSave.Run })
        {
            throw new MigrationException(FailureReason.InvalidRequest,
                "A snapshot is of a guest that runs on, so it can neither be left paused nor ended afterwards. Choose --then run, or another mode.");
        }

        return save;
    }
}

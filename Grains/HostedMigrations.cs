using System.Collections.Concurrent;
using System.Text.Json;
using DistMigrate.Contracts;
using DistMigrate.Grains.Tracing;
using DistMigrate.Guests;
using DistMigrate.Transfer;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace DistMigrate.Grains;

/// <summary>
/// The saves and restores that this silo works on. Grains are their control surface only: Orleans may end and restart an activation
/// at any time, and the progress must not go with it.
/// </summary>
internal sealed partial class HostedMigrations(
    IOptions<HostOptions> options, StopRecords stops, LoadRecords loads, GuestConnector connect, IStorageObserver observer, TimeProvider time,
    ILogger<HostedMigrations> logger)
    : IHostedService
{
    private readonly ConcurrentDictionary<string, HostedSave> _saves = new();
    private readonly ConcurrentDictionary<string, HostedLoad> _loads = new();
    private readonly HostOptions _options = options.Value;

    private const long LiveEpochBytes = 256L << 20;

    /// <summary>Channels of a stream unless told otherwise: two are faster than one even on two CPUs, and QEMU sends 2.7 GB/s through each.</summary>
    private const int FewestDefaultStreams = 2, MostDefaultStreams = 4;

    private static readonly TimeSpan LiveEpochTime = TimeSpan.FromSeconds(1);

    /// <summary>The saves under way.</summary>
    public ICollection<HostedSave> Saves => _saves.Values;

    /// <summary>Told of each save that is forgotten, before its engines go.</summary>
    public event Action<HostedSave>? Forgotten;

    /// <summary>Told of a guest whose monitor a migration is about to use.</summary>
    public event Action<string>? Taken;

    /// <summary>The stop records of this host.</summary>
    public StopRecords Stops { get; } = stops;

    public HostedSave? FindSave(string migration) => _saves.GetValueOrDefault(migration);

    /// <summary>The save that a coordinator's step is for; null when this silo has none, or one that was opened without that coordinator's knowledge.</summary>
    /// <exception cref="MigrationException">A newer coordinator is in charge, or the attempt was interrupted because none was heard.</exception>
    public HostedSave? FindObeyed(string migration, FencingToken token, Guid incarnation)
    {
        if (FindSave(migration) is not { } save)
            return null;
        save.Gate.Obey(token);
        save.ThrowIfForsaken();
        return save.IsMeant(incarnation) ? save : null;
    }

    public HostedLoad? FindLoad(string migration) => _loads.GetValueOrDefault(migration);

    /// <summary>Whether a migration works on a guest here, and then its run state in QEMU's words as last seen; empty when it was not seen.</summary>
    public bool TryFindGuest(string guest, out string state)
    {
        var states = _saves.Values.Where(save => save.Spec.Request.Guest == guest).Select(save => save.Attempt.GuestState)
            .Concat(_loads.Values.Where(load => load.Spec.Request.Guest == guest).Select(load => load.Attempt.GuestState)).ToList();
        state = states.Find(seen => seen.Length > 0) ?? "";
        return states.Count > 0;
    }

    /// <summary>The save of a spec, set up at the first call.</summary>
    public HostedSave GetOrAddSave(MigrationSpec spec) => _saves.GetOrAdd(spec.Id, _ =>
    {
        Taken?.Invoke(spec.Request.Guest);
        var trace = new SaveTrace(spec, observer);
        return new HostedSave(spec, new SaveAttempt(PlanSave(spec), Stops, _options.RuntimeFolder, connect, time, trace), trace, time, logger);
    });

    /// <summary>The restore of a spec, set up at the first call.</summary>
    public HostedLoad GetOrAddLoad(MigrationSpec spec) => _loads.GetOrAdd(spec.Id, _ =>
    {
        Taken?.Invoke(spec.Request.Guest);
        return new HostedLoad(spec, NewLoad(spec), _options, time, logger);
    });

    /// <summary>A load of a spec that nobody asks for any longer.</summary>
    public LoadAttempt NewLoad(MigrationSpec spec) => new(PlanLoad(spec), loads, _options.RuntimeFolder, time);

    /// <summary>Settles what a silo that has ended left of a save: the guest gets its run state back, unless the image is published.
    /// What was saved is kept.</summary>
    public async Task<HostReply> SettleSaveAsync(MigrationSpec spec) =>
        HostReply.Unknown with
        {
            Step = HostStep.Done,
            IsPublished = await Stops.SettleAsync(spec.Id, CancellationToken.None),
            WasRunning = Stops.WasRunning(spec.Id),
        };

    /// <summary>Settles it, and removes what was saved unless it is published.</summary>
    public async Task<HostReply> RemoveSaveAsync(MigrationSpec spec)
    {
        var reply = await SettleSaveAsync(spec);
        return !reply.IsPublished && SaveAttempt.RemoveLeftovers(PlanSave(spec).ImagePath, spec.Id) is { } note ? reply with { Notes = [note] } : reply;
    }

    /// <summary>Forgets a save whose outcome is recorded.</summary>
    public async Task ForgetSaveAsync(string migration)
    {
        Stops.Forget(migration);
        if (!_saves.TryRemove(migration, out var save))
            return;
        Forgotten?.Invoke(save);
        await save.DisposeAsync();
    }

    /// <summary>Forgets a restore whose outcome is recorded.</summary>
    public async Task ForgetLoadAsync(string migration)
    {
        loads.Forget(migration);
        await DropLoadAsync(migration);
    }

    private async Task DropLoadAsync(string migration)
    {
        if (_loads.TryRemove(migration, out var load))
            await load.DisposeAsync();
    }

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>The silo ends in an orderly way: every guest that we stopped gets its run state back first.</summary>
    public async Task StopAsync(CancellationToken cancellationToken)
    {
        foreach (var save in _saves.Values)
        {
            try
            {
                await save.SuspendAsync();
                if (_saves.TryRemove(save.Spec.Id, out _))
                    await save.DisposeAsync();
            }
            catch (Exception e)
            {
                // The other guests are not to stay stopped for it; the next start of the silo tries again.
                LogNotAborted(logger, save.Spec.Request.Guest, save.Spec.Id, e);
            }
        }

        foreach (var migration in _loads.Keys)
            await DropLoadAsync(migration);
    }

    private SavePlan PlanSave(MigrationSpec spec)
    {
        var save = spec.Request.Save ?? new SaveOptions();
        return new SavePlan(
            spec.Id, spec.Host, spec.Request.Guest, spec.Request.QmpPath!, spec.Request.ImagePath,
            save.Overwrite,
            (spec.Request.Kind, save.After) switch
            {
                (MigrationKind.Move, _) => AfterPublication.HandOver,
                (_, AfterSave.Run) => AfterPublication.Run,
                (_, AfterSave.Quit) => AfterPublication.Quit,
                _ => AfterPublication.Pause,
            },
            new WriterOptions
            {
                Writers = save.Writers == 0 ? _options.Writers : save.Writers,
                ExtentBytes = _options.ExtentBytes,
                BandwidthLimit = save.BandwidthLimit,
                MaxDowntime = save.IsLive ? _options.MaxDowntime : save.MaxDowntime ?? _options.MaxDowntime,
                StallTimeout = save.StallTimeout ?? _options.StallTimeout,

                // The last epoch closes while the guest stands still, so that of a live save is short.
                EpochBytes = save.IsLive ? Math.Min(_options.EpochBytes, LiveEpochBytes) : _options.EpochBytes,
                EpochTime = save.IsLive && _options.EpochTime > LiveEpochTime ? LiveEpochTime : _options.EpochTime,
                DirectIo = save.DirectIo switch
                {
                    DirectIo.On => DirectIoChoice.On,
                    DirectIo.Off => DirectIoChoice.Off,
                    _ => DirectIoChoice.Auto,
                },
            },
            _options.Launch.FolderOf(spec.Request.Guest),
            JsonSerializer.Serialize(spec),
            save.Mode switch
            {
                SaveMode.Stream => LiveMode.Stream,
                SaveMode.Compare => LiveMode.Compare,
                SaveMode.Snapshot => LiveMode.Snapshot,
                _ => LiveMode.None,
            },
            ChannelsOf(save.Streams > 0 ? save.Streams : _options.Streams),
            save.Policy == ConvergencePolicy.MustFinish);
    }

    private static int ChannelsOf(int streams) => streams > 0 ? streams : Math.Clamp(Environment.ProcessorCount / 2, FewestDefaultStreams, MostDefaultStreams);

    private LoadPlan PlanLoad(MigrationSpec spec)
    {
        var restore = spec.Request.Restore ?? new RestoreOptions();
        var move = spec.Request.Move;
        return new LoadPlan(
            spec.Id, _options.Name, spec.Request.Guest, move is null ? spec.Request.QmpPath : move.TargetQmpPath, spec.Request.ImagePath,
            restore.Channels, restore.DirectIo == DirectIo.On && restore.Channels > 0, restore.IgnoreClaim, restore.Paused, restore.IgnoreMismatch,
            move is not null, _options.Launch, restore.Lazy, restore.Prefetch);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Guest {Guest} could not be given its run state back at the end of the silo (migration {Id})")]
    private static partial void LogNotAborted(ILogger logger, string guest, string id, Exception exception);
}

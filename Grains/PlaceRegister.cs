using DistMigrate.Contracts;
using Microsoft.Extensions.Logging;

namespace DistMigrate.Grains;

/// <summary>
/// The places of one host or storage, remembered in grain storage and compared now and then with what the coordinators say. For one grain,
/// whose turns it relies on.
/// </summary>
/// <param name="state">The queue.</param>
/// <param name="limitOf">Places of a kind.</param>
/// <param name="host">The host whose migrations start when they get their place; null for a storage, which starts none.</param>
/// <param name="grains">Reaches the coordinators.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Of the grain.</param>
internal sealed partial class PlaceRegister(
    IPersistentState<AdmissionQueue> state, Func<PlaceKind, int> limitOf, string? host, IGrainFactory grains, TimeProvider time, ILogger logger)
{
    /// <summary>How often the places are to be compared with what the coordinators say.</summary>
    public static readonly TimeSpan ReconcileEvery = TimeSpan.FromSeconds(2);

    private bool _isRemembered = true;

    private AdmissionQueue Queue => state.State;

    /// <summary>The places as others see them.</summary>
    public IReadOnlyList<QueueEntry> Entries => Queue.List();

    /// <summary>A migration that holds a place or waits for one.</summary>
    public MigrationSpec? Find(string id) => Queue.Find(id)?.Spec;

    /// <summary>Its position, 1 for the next; 0 when it does not wait.</summary>
    public int PositionOf(string id) => Queue.PositionOf(id);

    /// <summary>Lets a migration wait for a place; <see cref="DispatchAsync"/> remembers it. One in its way that has ended, but whose host
    /// still lets go of it (storage may hang), loses its place.</summary>
    /// <exception cref="MigrationException">Another one works on that guest, or writes that image.</exception>
    public async Task AddAsync(MigrationSpec spec, PlaceKind kind)
    {
        if (Queue.Find(spec.Id) is not null)
            return;
        while (Queue.FindInTheWayOf(spec.Request, kind) is { IsHeld: true } other && await HasEndedAsync(other))
            Remove(other.Spec.Id);
        Queue.Add(spec, kind, time.GetUtcNow());
        _isRemembered = false;
    }

    /// <summary>Takes a migration out; <see cref="DispatchAsync"/> remembers it.</summary>
    /// <returns>Whether it was there.</returns>
    public bool Remove(string id)
    {
        var isRemoved = Queue.Remove(id) >= 0;
        _isRemembered &= !isRemoved;
        return isRemoved;
    }

    /// <summary>Takes a place for a migration, or queues it.</summary>
    /// <returns>0 when it holds a place, else its position.</returns>
    public async Task<int> ReserveAsync(MigrationSpec spec, PlaceKind kind)
    {
        await AddAsync(spec, kind);
        await DispatchAsync();
        return PositionOf(spec.Id);
    }

    /// <summary>Takes a migration out that waits.</summary>
    /// <returns>False when it does not.</returns>
    public async Task<bool> WithdrawAsync(string id)
    {
        if (Queue.Find(id) is not { IsHeld: false } place)
            return false;
        var index = Queue.Remove(id);
        _isRemembered = false;
        try
        {
            await RememberAsync();
            return true;
        }
        catch
        {
            // It waits until it is remembered that it does not.
            Queue.PutBack(place, index);
            throw;
        }
    }

    /// <summary>Gives out what the limits allow, and starts what is to start here. The queue is written first: what was started twice starts once.</summary>
    public async Task DispatchAsync()
    {
        var admitted = Queue.Admit(limitOf, time.GetUtcNow());
        _isRemembered &= admitted.Count == 0;
        await RememberAsync();
        foreach (var spec in admitted.Where(IsStartedHere))
            await Migration(spec.Id).Start();
    }

    /// <summary>Sets right what the loss of a silo or of a message left: ended migrations give their place back, admitted ones start.</summary>
    public async Task ReconcileAsync()
    {
        await RememberAsync();

        // Those that wait to be started here need not be asked: they do nothing yet, and there may be many.
        foreach (var place in Queue.Places.Where(place => place.IsHeld || !IsStartedHere(place.Spec)).ToArray())
        {
            try
            {
                await ReconcileAsync(place);
            }
            catch (MigrationException e) when (e.Reason == FailureReason.NotFound && !IsStartedHere(place.Spec))
            {
                // Grain storage lost the coordinator; if it comes back, it asks for its place again.
                Remove(place.Spec.Id);
            }
            catch (Exception e) when (e is OrleansException or TimeoutException or MigrationException)
            {
                // The next round asks again; the others are not to wait for this one.
                LogNoAnswer(logger, place.Spec.Id, e);
            }
        }

        await DispatchAsync();
    }

    private async Task ReconcileAsync(Place place)
    {
        var id = place.Spec.Id;
        var status = await Migration(id).GetStatus();
        if (status.Phase.IsEnd())
        {
            Remove(id);
            return;
        }

        Queue.Park(id, status.Phase is MigrationPhase.Paused or MigrationPhase.NeedsAttention);
        if (IsStartedHere(place.Spec) && status.Phase == MigrationPhase.Queued)
            await Migration(id).Start();
    }

    private async Task<bool> HasEndedAsync(Place place)
    {
        try
        {
            return (await Migration(place.Spec.Id).GetStatus()).Phase.IsEnd();
        }
        catch (Exception e) when (e is OrleansException or TimeoutException or MigrationException)
        {
            LogNoAnswer(logger, place.Spec.Id, e);
            return false;
        }
    }

    private async Task RememberAsync()
    {
        if (_isRemembered)
            return;
        await state.RememberAsync();
        _isRemembered = true;
    }

    private bool IsStartedHere(MigrationSpec spec) => spec.Host == host;

    private IMigrationGrain Migration(string id) => grains.GetGrain<IMigrationGrain>(id);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Migration {Id} does not tell how it stands; it is asked again")]
    private static partial void LogNoAnswer(ILogger logger, string id, Exception exception);
}

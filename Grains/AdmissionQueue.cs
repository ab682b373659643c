using DistMigrate.Contracts;

namespace DistMigrate.Grains;

/// <summary>A migration that holds a place or waits for one.</summary>
/// <param name="Spec">The migration.</param>
/// <param name="Kind">What it has a place of, or waits for.</param>
/// <param name="IsHeld">Whether it holds the place.</param>
/// <param name="Since">Since when it holds the place or waits for it.</param>
/// <param name="IsParked">Whether it waits for storage or a person, and so leaves its place to others.</param>
[GenerateSerializer, Immutable, Alias("distmigrate.Place")]
internal sealed record Place(
    [property: Id(0)] MigrationSpec Spec,
    [property: Id(1)] PlaceKind Kind,
    [property: Id(2)] bool IsHeld,
    [property: Id(3)] DateTimeOffset Since,
    [property: Id(4)] bool IsParked = false);

/// <summary>Which migrations hold the places of a host or storage and which wait, for each kind of place in the order they came.</summary>
[GenerateSerializer, Alias("distmigrate.AdmissionQueue")]
internal sealed class AdmissionQueue
{
    [Id(0)] private readonly List<Place> _places = [];

    /// <summary>All of them, in the order they came.</summary>
    public IReadOnlyList<Place> Places => _places;

    /// <summary>Lets a migration wait for a place; one that is known stays as it is.</summary>
    /// <exception cref="MigrationException">Another one works on that guest of the host, or writes that image.</exception>
    public void Add(MigrationSpec spec, PlaceKind kind, DateTimeOffset now)
    {
        if (Find(spec.Id) is not null)
            return;

        CheckFree(spec.Request, kind);
        _places.Add(new Place(spec, kind, IsHeld: false, now));
    }

    /// <summary>Gives free places to those that wait, where the limits allow. A parked one takes none; when it goes on, more than the limit
    /// may run for a while.</summary>
    /// <param name="limitOf">Places of a kind.</param>
    /// <param name="now">The time.</param>
    /// <returns>The migrations that hold a place from now on, oldest first.</returns>
    public IReadOnlyList<MigrationSpec> Admit(Func<PlaceKind, int> limitOf, DateTimeOffset now)
    {
        List<MigrationSpec> admitted = [];
        var inUse = _places.Where(place => place is { IsHeld: true, IsParked: false }).CountBy(place => place.Kind).ToDictionary();
        for (var i = 0; i < _places.Count; i++)
        {
            var place = _places[i];
            var used = inUse.GetValueOrDefault(place.Kind);
            if (place.IsHeld || used >= limitOf(place.Kind))
                continue;
            inUse[place.Kind] = used + 1;
            _places[i] = place with { IsHeld = true, Since = now };
            admitted.Add(place.Spec);
        }

        return admitted;
    }

    /// <summary>Says whether a migration leaves its place to others.</summary>
    public void Park(string id, bool isParked)
    {
        if (_places.FindIndex(place => place.Spec.Id == id) is >= 0 and var index)
            _places[index] = _places[index] with { IsParked = isParked };
    }

    /// <summary>Takes a migration out.</summary>
    /// <returns>Where it stood, for <see cref="PutBack"/>; -1 when it was not there.</returns>
    public int Remove(string id)
    {
        var index = _places.FindIndex(place => place.Spec.Id == id);
        if (index >= 0)
            _places.RemoveAt(index);
        return index;
    }

    /// <summary>Puts one back that was taken out just now.</summary>
    public void PutBack(Place place, int index) => _places.Insert(index, place);

    /// <summary>Its position among those that wait for the same kind of place, 1 for the next; 0 when it does not wait.</summary>
    public int PositionOf(string id) => Find(id) is { IsHeld: false } place
        ? _places.TakeWhile(other => other != place).Count(other => other.Kind == place.Kind && !other.IsHeld) + 1
        : 0;

    /// <summary>A migration that holds a place or waits for one.</summary>
    public Place? Find(string id) => _places.Find(place => place.Spec.Id == id);

    /// <summary>All of them as others see them: those that hold a place first.</summary>
    public IReadOnlyList<QueueEntry> List()
    {
        var waiting = new Dictionary<PlaceKind, int>();
        return
        [
            .. _places.OrderByDescending(place => place.IsHeld).Select(place => new QueueEntry(
                place.Spec.Id, place.Spec.Request.Guest, place.Spec.Request.Kind, place.Spec.Host, place.Spec.Storage, place.Kind,
                place.IsHeld ? 0 : waiting[place.Kind] = waiting.GetValueOrDefault(place.Kind) + 1, place.IsParked, place.Since)),
        ];
    }

    /// <summary>The place of another migration that works on the same guest of the host, or writes the same image.</summary>
    public Place? FindInTheWayOf(MigrationRequest request, PlaceKind kind) => kind == PlaceKind.Storage
        ? null // A storage serves many hosts, whose guests may have the same names; an image's lock is beside it.
        : _places.Find(place => place.Spec.Request.Guest == request.Guest || UsesImageOf(place.Spec.Request, request));

    private static bool UsesImageOf(MigrationRequest one, MigrationRequest other) =>
        one.ImagePath == other.ImagePath && (one.Kind != MigrationKind.Restore || other.Kind != MigrationKind.Restore);

    private void CheckFree(MigrationRequest request, PlaceKind kind)
    {
        if (FindInTheWayOf(request, kind) is not { Spec: var (id, _, _, other, _) })
            return;
        throw other.Guest == request.Guest
            ? new MigrationException(FailureReason.GuestBusy,
                $"Migration {id} works on guest {request.Guest} already. Wait for it, or 'distmigrate cancel {id}'.")
            : new MigrationException(FailureReason.ImageBusy,
                $"Migration {id} (guest {other.Guest}) uses {request.ImagePath} already. Wait for it, or choose another image.");
    }
}

using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using DistMigrate.Contracts;
using DistMigrate.Transfer;
using Microsoft.Extensions.Options;

namespace DistMigrate.Grains.Metrics;

/// <summary>
/// The metrics of a host: its places, its storage and its guests, as others have last told them. Nothing is asked of anybody when somebody
/// looks.
/// </summary>
internal sealed class HostMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "DistMigrate.Host";

    private readonly HostOptions _options;
    private readonly Meter _meter = new(MeterName);
    private readonly RenewingMeter _guests;
    private readonly ConcurrentDictionary<string, bool> _running = new();
    private volatile IReadOnlyList<QueueEntry> _places = [];
    private volatile IReadOnlyList<FolderSpace> _spaces = [];
    private volatile IReadOnlyList<ImageSpace> _images = [];

    public HostMetrics(IOptions<HostOptions> options, TimeProvider time)
    {
        _options = options.Value;
        MetricCatalog.QueueLength.Observe(_meter, () => ByDirection(kind => _places.Count(place => place.Place == kind && place.Position > 0)));
        MetricCatalog.PlacesInUse.Observe(_meter, () => ByDirection(kind => _places.Count(place => place.Place == kind && place.Position == 0)));
        MetricCatalog.Places.Observe(_meter, () => ByDirection(kind => kind == PlaceKind.Outgoing ? _options.MaxOutgoing : _options.MaxIncoming));
        MetricCatalog.StorageFree.Observe(_meter, () => Spaces(space => space.FreeBytes));
        MetricCatalog.StorageSize.Observe(_meter, () => Spaces(space => space.TotalBytes));
        MetricCatalog.ImageBytes.Observe(_meter, ObserveImages);
        _guests = new RenewingMeter(MeterName, MetricCatalog.MostGuests, meter => MetricCatalog.GuestRunning.Observe(meter, ObserveGuests), time);
    }

    /// <summary>Who holds places of this host, and who waits for them.</summary>
    public void Show(IReadOnlyList<QueueEntry> places) => _places = places;

    /// <summary>The space of the storage roots.</summary>
    public void Show(IReadOnlyList<FolderSpace> spaces) => _spaces = spaces;

    /// <summary>What images take there.</summary>
    public void Show(IReadOnlyList<ImageSpace> images) => _images = images;

    /// <summary>Whether a guest runs here; null when it is not this host's, or does not tell.</summary>
    public void Show(string guest, bool? isRunning)
    {
        if (isRunning is { } runs)
            _running[guest] = runs;
        else
            _running.TryRemove(guest, out _);
    }

    public void Dispose()
    {
        _guests.Dispose();
        _meter.Dispose();
    }

    private static Measurement<long>[] ByDirection(Func<PlaceKind, long> value) =>
    [
        new(value(PlaceKind.Outgoing), new KeyValuePair<string, object?>("direction", "outgoing")),
        new(value(PlaceKind.Incoming), new KeyValuePair<string, object?>("direction", "incoming")),
    ];

    private List<Measurement<long>> Spaces(Func<FolderSpace, long?> value) =>
    [
        .. _spaces.Where(space => value(space) is not null)
            .Select(space => new Measurement<long>(value(space)!.Value, new KeyValuePair<string, object?>("storage", space.Path))),
    ];

    private List<Measurement<long>> ObserveImages() =>
    [
        .. _images.SelectMany(image => new Measurement<long>[]
        {
            new(image.Active, new("storage", image.Storage), new("state", "active")),
            new(image.Complete, new("storage", image.Storage), new("state", "complete")),
            new(image.Orphan, new("storage", image.Storage), new("state", "orphan")),
        }),
    ];

    private List<Measurement<long>> ObserveGuests()
    {
        var found = new List<Measurement<long>>();
        foreach (var (guest, runs) in _running)
        {
            _guests.Note(guest);
            found.Add(new Measurement<long>(runs ? 1 : 0, new KeyValuePair<string, object?>("guest", guest)));
        }

        return found;
    }
}

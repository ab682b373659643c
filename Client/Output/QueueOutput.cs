using System.Globalization;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Output;

/// <summary>Writes who holds the places of hosts and storages, and who waits for one, to standard output.</summary>
internal static class QueueOutput
{
    public static void Show(this Terminal terminal, IReadOnlyList<HostStatus> hosts, IReadOnlyList<StorageStatus> storages, TimeProvider time)
    {
        if (terminal.Format == OutputFormat.Json)
        {
            OutputJson.Write(
                terminal,
                new QueueDocument(OutputJson.Schema, [.. hosts.Select(ToEntry)], [.. storages.Select(ToEntry)]),
                OutputJson.Writing.QueueDocument);
            return;
        }
        var rows = hosts.SelectMany(host => host.Places.OrderBy(place => place.Place).Select(place => (At: host.Host, Place: place)))
            .Concat(storages.SelectMany(storage => storage.Places.Select(place => (At: storage.Path, Place: place))))
            .ToList();
        if (rows.Count == 0)
            return;
        var table = Tables.Make(terminal, "At", "Place", "State", ">Position", ">For", "Id", "Kind", "Guest", "Host");
        foreach (var (at, place) in rows)
        {
            var age = time.GetUtcNow() - place.Since;
            table.Row(
                at, OutputJson.NameOf(place.Place), StateOf(place), place.Position > 0 ? place.Position.ToString(CultureInfo.InvariantCulture) : "",
                DurationText.Format(age > TimeSpan.Zero ? age : TimeSpan.Zero), place.Id, OutputJson.NameOf(place.Kind), place.Guest, place.Host);
        }
        terminal.Show(table);
    }

    private static string StateOf(QueueEntry place) => place switch
    {
        { Position: > 0 } => "queued",
        { IsParked: true } => "parked",
        _ => "running",
    };

    private static HostQueueEntry ToEntry(HostStatus host) => new(
        host.Host, ToEntry(host.Places, PlaceKind.Outgoing, host.MaxOutgoing), ToEntry(host.Places, PlaceKind.Incoming, host.MaxIncoming));

    private static StorageQueueEntry ToEntry(StorageStatus storage) => new(storage.Path, ToEntry(storage.Places, PlaceKind.Storage, storage.Limit));

    private static PlacesEntry ToEntry(IReadOnlyList<QueueEntry> places, PlaceKind kind, int limit) => new(
        limit,
        [.. places.Where(place => place.Place == kind && place.Position == 0).Select(ToEntry)],
        [.. places.Where(place => place.Place == kind && place.Position > 0).Select(ToEntry)]);

    private static PlaceEntry ToEntry(QueueEntry place) => new(
        place.Id, OutputJson.NameOf(place.Kind), place.Guest, place.Host, place.Position, place.IsParked, place.Since);
}

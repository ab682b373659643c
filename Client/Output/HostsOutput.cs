using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Output;

/// <summary>Writes the hosts of a cluster to standard output.</summary>
internal static class HostsOutput
{
    public static void Show(this Terminal terminal, IReadOnlyList<(HostPresence Presence, HostStatus? Status)> hosts, TimeProvider time)
    {
        if (terminal.Format == OutputFormat.Json)
        {
            OutputJson.Write(terminal, new HostsDocument(OutputJson.Schema, [.. hosts.Select(host => ToEntry(host.Presence, host.Status))]), OutputJson.Writing.HostsDocument);
            return;
        }
        var table = Tables.Make(terminal, "Host", "State", ">For", "Silo", "Version", "Guests", ">Out", ">In", ">Queued", ">Memory free", "Storage free");
        foreach (var (presence, status) in hosts)
        {
            var age = time.GetUtcNow() - presence.Since;
            table.Row(
                presence.Host, StateOf(presence), DurationText.Format(age > TimeSpan.Zero ? age : TimeSpan.Zero), presence.Address, ShortVersion(status?.Version),
                string.Join(", ", status?.Guests ?? []), InUse(status, PlaceKind.Outgoing, status?.MaxOutgoing), InUse(status, PlaceKind.Incoming, status?.MaxIncoming),
                status is null ? "" : Printable.Count(status.Queued.Count), status?.AvailableMemory is { } memory ? ByteSize.Format(memory) : "",
                string.Join('\n', (status?.Storage ?? []).Where(space => space.FreeBytes is not null).Select(space => $"{ByteSize.Format(space.FreeBytes!.Value)} in {space.Path}")));
        }
        terminal.Show(table);
    }

    /// <summary>A build's version ends in its whole commit.</summary>
    private static string ShortVersion(string? version) => version is null ? "" : version.IndexOf('+') is >= 0 and var plus ? version[..Math.Min(version.Length, plus + 9)] : version;

    private static string StateOf(HostPresence presence) => presence.IsUp ? "up" : "down";

    private static string InUse(HostStatus? status, PlaceKind kind, int? limit) => status is null ? "" : $"{status.InUse(kind)}/{limit}";

    private static HostEntry ToEntry(HostPresence presence, HostStatus? status) => new(
        presence.Host, StateOf(presence), presence.Since, presence.Address, status?.Version, status?.Guests ?? [], status?.Running ?? [], status?.Queued ?? [],
        [.. (status?.Storage ?? []).Select(space => new StorageEntry(space.Path, space.FreeBytes, space.TotalBytes))],
        status is null ? null : new UsageEntry(status.InUse(PlaceKind.Outgoing), status.MaxOutgoing),
        status is null ? null : new UsageEntry(status.InUse(PlaceKind.Incoming), status.MaxIncoming), status?.AvailableMemory);
}

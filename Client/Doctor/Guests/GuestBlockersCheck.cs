using System.Text.Json;
using DistMigrate.Client.Values;

namespace DistMigrate.Client.Doctor.Guests;

/// <summary>Whether QEMU itself refuses to migrate this guest.</summary>
internal static class GuestBlockersCheck
{
    public static async Task<Finding> LookAsync(GuestScene scene, CancellationToken cancellation)
    {
        var reply = await scene.Monitor.ExecuteAsync("query-migrate", cancellation);
        var blockers = reply.TryGetProperty("blocked-reasons", out var reasons) && reasons.ValueKind == JsonValueKind.Array
            ? reasons.EnumerateArray().Select(reason => Printable.Of(reason.ToString().TrimEnd('.'))).ToList()
            : [];
        return blockers.Count == 0
            ? Finding.Ok("QEMU names nothing that keeps this guest from being migrated.")
            : Finding.Failed($"QEMU cannot migrate it: {string.Join("; ", blockers)}.", "such a guest can be neither saved nor moved", "unplug or replace what it names");
    }
}

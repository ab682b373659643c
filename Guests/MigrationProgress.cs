using System.Text.Json;

namespace DistMigrate.Guests;

/// <summary>What <c>query-migrate</c> says.</summary>
/// <param name="Status">QEMU's MigrationStatus; <c>none</c> before the first migration.</param>
/// <param name="Error">Its error-desc, or null.</param>
/// <param name="BlockedReasons">Why QEMU would refuse to migrate this guest.</param>
internal sealed record MigrationProgress(string Status, string? Error, IReadOnlyList<string> BlockedReasons)
{
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(100);

    /// <summary>Whether nothing is under way.</summary>
    public bool IsOver => Status is "none" or "completed" or "failed" or "cancelled";

    /// <summary>Asks QEMU.</summary>
    /// <param name="qmp">The connection.</param>
    /// <param name="timeout">How long to wait; a load keeps QEMU's main loop busy and may need no limit.</param>
    /// <param name="cancellationToken">Stops the wait.</param>
    /// <exception cref="GuestException">QEMU did not answer.</exception>
    public static async Task<MigrationProgress> QueryAsync(QmpClient qmp, TimeSpan? timeout, CancellationToken cancellationToken)
    {
        return Of(await qmp.ExecuteAsync("query-migrate", null, timeout, cancellationToken));
    }

    /// <summary>What a reply to <c>query-migrate</c> says.</summary>
    public static MigrationProgress Of(JsonElement reply) => new(
        reply.Text("status") ?? "none", reply.Text("error-desc"), [.. reply.Items("blocked-reasons").Select(r => r.ToString())]);

    /// <summary>Waits until the migration that was started after <paramref name="events"/> were subscribed to is over.</summary>
    /// <exception cref="GuestException">QEMU is gone, or did not answer.</exception>
    public static async Task<MigrationProgress> WaitAsync(
        QmpClient qmp, QmpEventSubscription events, TimeSpan? timeout, CancellationToken cancellationToken)
    {
        while (true)
        {
            var progress = await QueryAsync(qmp, timeout, cancellationToken);
            if (progress.IsOver && progress.Status != "none")
                return progress;
            await events.TryWaitAsync(e => e.Name == "MIGRATION", PollInterval, cancellationToken);
        }
    }
}

using System.Text.Json.Nodes;

namespace DistMigrate.Tests.Lab;

/// <summary>QEMU's own save of a guest into a file: what ours is compared with.</summary>
public static class QemuSave
{
    /// <summary>Stops the guest if it runs and lets its QEMU write it. Afterwards the guest stands in <c>postmigrate</c>, and <c>cont</c> resumes it.</summary>
    /// <param name="source">The guest.</param>
    /// <param name="path">The file; QEMU truncates an existing one.</param>
    /// <param name="way">How QEMU writes.</param>
    /// <param name="limit">Null: <see cref="Wait.Ordinary"/>.</param>
    /// <param name="cancellationToken">Ends the waiting, not the migration.</param>
    /// <returns>How it ended. A completed save is in the page cache: QEMU does not fsync.</returns>
    public static async Task<MigrationOutcome> SaveAsync(
        QemuProcess source, string path, FileMigration way, TimeSpan? limit = null, CancellationToken cancellationToken = default)
    {
        await source.PauseAsync(cancellationToken);
        var outcome = await way.RunAsync(source, "migrate", new JsonObject { ["uri"] = way.Uri(path) }, limit, cancellationToken);
        if (!source.HasExited)
        {
            // A reference save must leave the guest as it was for the save under test.
            await source.Monitor.SetCapabilitiesAsync(("mapped-ram", false), ("multifd", false));
        }

        return outcome;
    }

    /// <summary>Lets a running guest's QEMU write it, and the guest run on until QEMU stops it. One that does not converge within the limit is cancelled.</summary>
    /// <returns>How it ended. Completed, the guest stands in <c>postmigrate</c>; otherwise it runs.</returns>
    public static async Task<MigrationOutcome> SaveLiveAsync(
        QemuProcess source, string path, FileMigration way, TimeSpan limit, CancellationToken cancellationToken = default)
    {
        MigrationOutcome outcome;
        try
        {
            outcome = await way.RunAsync(source, "migrate", new JsonObject { ["uri"] = way.Uri(path) }, limit, cancellationToken);
        }
        catch (TimeoutException)
        {
            var before = source.Monitor.Events.Count;
            await source.Monitor.ExecuteAsync("migrate_cancel", null, cancellationToken);
            await source.Monitor.WaitForEventAsync(
                "MIGRATION", before, data => data.GetProperty("status").GetString() is "completed" or "failed" or "cancelled", null, cancellationToken);
            outcome = new MigrationOutcome(false, $"It did not converge within {limit.TotalSeconds:0} s.", limit, default);
        }

        await source.Monitor.SetCapabilitiesAsync(("mapped-ram", false), ("multifd", false));
        return outcome;
    }
}

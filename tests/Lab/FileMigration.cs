using System.Text.Json;
using System.Text.Json.Nodes;

namespace DistMigrate.Tests.Lab;

/// <summary>The ways in which a stock QEMU writes and reads a migration file, and the commands for them.</summary>
public sealed record FileMigration
{
    /// <summary>The plain stream: pages in the order they were sent.</summary>
    public static readonly FileMigration Stream = new() { MappedRam = false };

    /// <summary>mapped-ram by one thread.</summary>
    public static readonly FileMigration Plain = new();

    /// <summary>mapped-ram by four threads.</summary>
    public static readonly FileMigration Multifd = new() { MultifdChannels = 4 };

    /// <summary>mapped-ram by four threads past the page cache.</summary>
    public static readonly FileMigration MultifdDirect = new() { MultifdChannels = 4, DirectIo = true };

    /// <summary>Pages at fixed positions.</summary>
    public bool MappedRam { get; init; } = true;

    /// <summary>0: without multifd.</summary>
    public int MultifdChannels { get; init; }

    /// <summary>O_DIRECT in the multifd channels; QEMU ignores it without them.</summary>
    public bool DirectIo { get; init; }

    /// <summary>Position in the file at which the migration begins, in bytes.</summary>
    public long Offset { get; init; }

    internal string Uri(string path) => Offset == 0
        ? $"file:{path}"
        : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"file:{path},offset={Offset}");

    internal async Task<MigrationOutcome> RunAsync(
        QemuProcess guest, string command, JsonObject arguments, TimeSpan? limit, CancellationToken cancellationToken)
    {
        var monitor = guest.Monitor;
        await monitor.SetCapabilitiesAsync(("mapped-ram", MappedRam), ("multifd", MultifdChannels > 0));
        await monitor.ExecuteAsync(
            "migrate-set-parameters",
            new JsonObject { ["direct-io"] = DirectIo, ["multifd-channels"] = Math.Max(MultifdChannels, 1), ["max-bandwidth"] = 0 },
            cancellationToken);
        var eventsBefore = monitor.Events.Count;
        var start = TimeProvider.System.GetTimestamp();
        try
        {
            await monitor.ExecuteAsync(command, arguments, cancellationToken);
            var last = await monitor.WaitForEventAsync(
                "MIGRATION", eventsBefore, data => data.GetProperty("status").GetString() is "completed" or "failed" or "cancelled", limit, cancellationToken);
            var duration = TimeProvider.System.GetElapsedTime(start);
            var statistics = await monitor.ExecuteAsync("query-migrate", null, cancellationToken);
            var completed = last.GetProperty("data").GetProperty("status").GetString() == "completed";
            return new MigrationOutcome(completed, completed ? null : ErrorText(statistics, guest), duration, statistics);
        }
        catch (MonitorException exception)
        {
            return new MigrationOutcome(false, exception.Description, TimeProvider.System.GetElapsedTime(start), default);
        }
        catch (IOException)
        {
            var exitCode = await guest.WaitForExitAsync(cancellationToken: cancellationToken);
            return new MigrationOutcome(false, $"QEMU ended with exit code {exitCode}: {guest.ErrorOutput}", TimeProvider.System.GetElapsedTime(start), default);
        }
    }

    private static string ErrorText(JsonElement statistics, QemuProcess guest) =>
        $"{(statistics.TryGetProperty("error-desc", out var text) ? text.GetString() : "no error-desc")}; stderr: {guest.ErrorOutput}";
}

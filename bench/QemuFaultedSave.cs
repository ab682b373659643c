using System.Text.Json;
using System.Text.Json.Nodes;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Bench;

/// <summary>QEMU's own mapped-ram save of a guest that is stopped for it.</summary>
internal sealed class QemuFaultedSave(QemuProcess guest, string image, int channels, int mibPerSecond) : IFaultedSave
{
    /// <summary>QEMU's monitor does not answer while its own thread waits for storage.</summary>
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(1);

    private int _eventsBefore;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await guest.PauseAsync(cancellationToken);
        await guest.Monitor.SetCapabilitiesAsync(("mapped-ram", true), ("multifd", channels > 0));
        await guest.Monitor.ExecuteAsync(
            "migrate-set-parameters",
            new JsonObject { ["multifd-channels"] = Math.Max(channels, 1), ["max-bandwidth"] = (long)mibPerSecond << 20 },
            cancellationToken);
        _eventsBefore = guest.Monitor.Events.Count;
        await guest.Monitor.ExecuteAsync("migrate", new JsonObject { ["uri"] = $"file:{image}" }, cancellationToken);
    }

    public async Task<long> WrittenAsync(CancellationToken cancellationToken) =>
        (await guest.Monitor.ExecuteAsync("query-migrate", null, cancellationToken)).TryGetProperty("ram", out var ram)
            ? ram.GetProperty("transferred").GetInt64()
            : 0;

    public async Task<SaveState> StateAsync(CancellationToken cancellationToken)
    {
        if (guest.HasExited)
        {
            await guest.WaitForExitAsync(cancellationToken: cancellationToken);
            return new SaveState("aborted", $"QEMU ended with exit code {guest.ExitCode}: {guest.ErrorOutput}", 0);
        }

        // A new save of QEMU's begins with nothing, whatever this one wrote.
        var phase = guest.Monitor.Events.Skip(_eventsBefore)
            .LastOrDefault(e => e.GetProperty("event").GetString() == "MIGRATION") is { ValueKind: JsonValueKind.Object } last
                ? last.GetProperty("data").GetProperty("status").GetString()!
                : "setup";
        return new SaveState(phase, phase == "failed" ? await ErrorAsync(cancellationToken) : "", 0);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private async Task<string> ErrorAsync(CancellationToken cancellationToken)
    {
        try
        {
            var statistics = await guest.Monitor.ExecuteAsync("query-migrate", null, cancellationToken).WaitAsync(AnswerLimit, cancellationToken);
            return statistics.TryGetProperty("error-desc", out var text) ? text.GetString()! : "no error-desc";
        }
        catch (Exception exception) when (exception is IOException or TimeoutException)
        {
            return exception.Message;
        }
    }
}

using DistMigrate.Client.Connection;
using DistMigrate.Client.Output;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary>
/// Moves every guest off a host. A guest goes to the host with the most available memory for each guest that this run sends there; when that one
/// refuses it before it was stopped, to the next one.
/// </summary>
internal sealed class DrainRun(Invocation invocation, SiloConnection connection, string host, SaveOptions options) : IDisposable
{
    private static readonly TimeSpan WatchFor = TimeSpan.FromSeconds(5);

    private readonly MigrationRun _run = new(invocation, connection);
    private readonly Dictionary<string, long> _sent = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _choosing = new(1);

    private Terminal Terminal => invocation.Terminal;

    public async Task<int> RunAsync(int maxParallel)
    {
        var source = (await HostsCommand.AskAllAsync(connection, invocation.Cancellation)).FirstOrDefault(known => known.Presence.Host == host).Status
            ?? throw new CommandException(ExitCode.Unreachable, $"host {host} is not up.", "'distmigrate hosts' lists the hosts");
        var underWay = (await CatalogReader.ReadAsync(connection, invocation.Cancellation))
            .Where(migration => migration is { Spec.Request.Kind: MigrationKind.Move } && migration.Spec.Host == host && !migration.Phase.IsEnd())
            .ToDictionary(migration => migration.Spec.Request.Guest, migration => migration.Spec.Id, StringComparer.Ordinal);
        var waiting = new Queue<string>(source.Guests.Union(underWay.Keys).Order(StringComparer.Ordinal));
        if (waiting.Count == 0)
            Terminal.Say($"host {host} knows no guest");

        var moves = new List<Task<MigrationStatus?>>();
        var outcomes = new List<MigrationStatus>();
        try
        {
            while (waiting.Count > 0 || moves.Count > 0)
            {
                while (waiting.Count > 0 && moves.Count < maxParallel)
                {
                    var guest = waiting.Dequeue();
                    moves.Add(MoveAsync(guest, underWay.GetValueOrDefault(guest)));
                }

                var ended = await Task.WhenAny(moves);
                moves.Remove(ended);
                if (await ended is { } status)
                    outcomes.Add(status);
            }
        }
        catch (OperationCanceledException) when (invocation.Cancellation.IsCancellationRequested)
        {
            Terminal.Say($"detached; moves that have begun go on. 'distmigrate drain {host}' takes up where this ended");
            return ExitCode.Detached;
        }

        Terminal.Show([.. outcomes.Select(status => new MigrationSummary(status.Spec, status.Phase, status.Reason, status.PhaseSince))], invocation.Time);
        return ResumeCommand.Combine(outcomes.Select(ExitCodes.Of));
    }

    public void Dispose() => _choosing.Dispose();

    /// <summary>Moves one guest.</summary>
    /// <returns>How that ended; null when the guest does not run.</returns>
    private async Task<MigrationStatus?> MoveAsync(string guest, string? underWay)
    {
        var refused = new HashSet<string>(StringComparer.Ordinal) { host };
        while (true)
        {
            MigrationStatus status;
            try
            {
                status = await FollowAsync(underWay ?? await SubmitAsync(guest, await ChooseTargetAsync(guest, refused)));
            }
            catch (MigrationException e) when (e.Reason is FailureReason.GuestBusy or FailureReason.NotFound or FailureReason.GuestUnreachable)
            {
                Terminal.Warn($"{guest} is left: {e.Message}");
                return null;
            }

            if (status is { Phase: MigrationPhase.Failed, Reason: FailureReason.GuestUnreachable })
            {
                Terminal.Note($"{guest} does not run: {status.Message}");
                return null;
            }

            var target = status.Spec.Request.Move!.Target;
            var outcome = status.Phase == MigrationPhase.Completed
                ? $"{guest} is on {target} ({DurationText.Format(status.Downtime)} stopped)"
                : $"{guest} to {target}: {status.Phase.ToName()}: {status.Message}";
            Terminal.Say(outcome);
            underWay = null;
            refused.Add(target);
            if (status.Phase != MigrationPhase.Failed || status.Downtime > TimeSpan.Zero || !await HasTargetAsync(refused))
                return status;
        }
    }

    private async Task<string> SubmitAsync(string guest, string target)
    {
        var request = new MigrationRequest(
            MigrationKind.Move, guest, QmpPath: null, ImagePath: "", options, new RestoreOptions(), new MoveOptions(target));
        return (await _run.SubmitAsync(host, request)).Id;
    }

    /// <summary>Waits until it has ended, or waits for a person.</summary>
    private async Task<MigrationStatus> FollowAsync(string id)
    {
        var revision = 0L;
        while (true)
        {
            var after = revision;
            var status = await connection.CallAsync(grains => grains.GetGrain<IMigrationGrain>(id).WaitForChange(after, WatchFor), invocation.Cancellation);
            if (status.Phase.IsEnd() || status.Phase == MigrationPhase.NeedsAttention || status.Trouble is { Reason: FailureReason.PausedByOperator })
                return status;
            revision = status.Revision;
        }
    }

    private async Task<string> ChooseTargetAsync(string guest, HashSet<string> refused)
    {
        await _choosing.WaitAsync(invocation.Cancellation);
        try
        {
            var target = (await TargetsAsync(refused)).FirstOrDefault()
                ?? throw new CommandException(ExitCode.Refused, $"no other host is up that could take {guest}.", "'distmigrate hosts' lists the hosts");
            _sent[target] = _sent.GetValueOrDefault(target) + 1;
            return target;
        }
        finally
        {
            _choosing.Release();
        }
    }

    private async Task<bool> HasTargetAsync(HashSet<string> refused) => (await TargetsAsync(refused)).Count > 0;

    /// <summary>The best first. Guests under way do not take their memory before they are loaded, so each counts as an equal part of it.</summary>
    private async Task<List<string>> TargetsAsync(HashSet<string> refused) =>
    [
        .. (await HostsCommand.AskAllAsync(connection, invocation.Cancellation))
            .Where(known => known.Status is not null && !refused.Contains(known.Presence.Host))
            .OrderByDescending(known => (known.Status!.AvailableMemory ?? 0) / (1 + _sent.GetValueOrDefault(known.Presence.Host)))
            .ThenBy(known => known.Presence.Host, StringComparer.Ordinal)
            .Select(known => known.Presence.Host),
    ];
}

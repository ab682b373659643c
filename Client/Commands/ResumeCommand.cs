using System.CommandLine;
using DistMigrate.Client.Connection;
using DistMigrate.Client.Output;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate resume</c>.</summary>
internal static class ResumeCommand
{
    public static Command Create(CommandRunner runner)
    {
        var id = new Argument<string?>("ID") { Description = "Id of the migration; none with --all", Arity = ArgumentArity.ZeroOrOne };
        var all = new Option<bool>("--all") { Description = "Every migration of the cluster that is paused or needs attention" };
        var wait = CommonOptions.Wait();
        var detach = new Option<bool>("--detach") { Description = "Only ask for it; it goes on in the background" };
        var timeout = CommonOptions.Timeout();
        var command = new Command(
            "resume", "Go on at once with a paused save, without writing again what is durable; or try again to treat the guest of a published image as asked.")
        {
            id, all, wait, detach, timeout,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(all) == result.GetValue(id) is not null)
                result.AddError("resume takes either the ID of a migration or --all.");
        });
        runner.Attach(command, async invocation =>
        {
            CommonOptions.CheckWaiting(invocation, wait, detach, timeout);
            await using var connection = await invocation.ConnectAsync();
            return invocation.Get(id) is { } migration
                ? await ResumeAsync(invocation, connection, migration, invocation.Get(detach), invocation.Get(timeout))
                : await ResumeAllAsync(invocation, connection, invocation.Get(detach), invocation.Get(timeout));
        });
        return command;
    }

    /// <summary>Whether nothing goes on before somebody resumes it, or that makes it go on at once.</summary>
    internal static bool IsWaiting(MigrationPhase phase) => phase is MigrationPhase.Paused or MigrationPhase.NeedsAttention;

    /// <summary>The exit code for several migrations: the first that is not a success.</summary>
    internal static int Combine(IEnumerable<int> exitCodes) => exitCodes.FirstOrDefault(code => code != ExitCode.Ok);

    private static async Task<int> ResumeAsync(Invocation invocation, SiloConnection connection, string id, bool detach, TimeSpan? timeout)
    {
        var run = new MigrationRun(invocation, connection);
        var before = await run.StatusAsync(id);
        var asked = await AskAsync(invocation, connection, id);
        if (!IsWaiting(before.Phase))
            invocation.Terminal.Note($"{id} was not paused: {before.Phase.ToName()}");
        if (!detach)
            return await run.FollowAsync(id, timeout, wasResumed: true);
        if (invocation.Terminal.Format == OutputFormat.Json)
            invocation.Terminal.Show(asked, invocation.Time);
        else
            invocation.Terminal.Data(id);
        invocation.Terminal.Say($"'distmigrate watch {id}' shows it, 'distmigrate cancel {id}' stops it");
        return ExitCode.Ok;
    }

    private static async Task<int> ResumeAllAsync(Invocation invocation, SiloConnection connection, bool detach, TimeSpan? timeout)
    {
        var terminal = invocation.Terminal;
        var waiting = (await CatalogReader.ReadAsync(connection, invocation.Cancellation))
            .Where(migration => IsWaiting(migration.Phase))
            .Reverse()
            .ToList();
        if (waiting.Count == 0)
            terminal.Say("no migration is paused");

        var outcomes = new List<(MigrationSummary Migration, int ExitCode)>();
        foreach (var migration in waiting)
            outcomes.Add((migration, await TryAskAsync(invocation, connection, migration.Spec.Id)));
        if (!detach)
            outcomes = await FollowAsync(invocation, new MigrationRun(invocation, connection), outcomes, timeout);
        terminal.Show([.. outcomes.Select(outcome => outcome.Migration).Reverse()], invocation.Time);
        return Combine(outcomes.Select(outcome => outcome.ExitCode));
    }

    /// <summary>Waits for one after the other, the oldest first; they all go on meanwhile.</summary>
    private static async Task<List<(MigrationSummary Migration, int ExitCode)>> FollowAsync(
        Invocation invocation, MigrationRun run, List<(MigrationSummary Migration, int ExitCode)> resumed, TimeSpan? timeout)
    {
        using var limit = new CancellationTokenSource(timeout ?? Timeout.InfiniteTimeSpan, invocation.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(invocation.Cancellation, limit.Token);
        var outcomes = new List<(MigrationSummary, int)>();
        foreach (var (migration, refusal) in resumed)
        {
            var id = migration.Spec.Id;
            if (refusal != ExitCode.Ok)
            {
                outcomes.Add((migration, refusal));
                continue;
            }
            try
            {
                var status = await run.WaitAsync(id, either.Token, wasResumed: true);
                outcomes.Add((migration with { Phase = status.Phase, Reason = status.Reason, Changed = status.PhaseSince }, run.Conclude(status)));
            }
            catch (OperationCanceledException) when (either.IsCancellationRequested)
            {
                outcomes.Add((migration, run.SayLeft(id)));
            }
        }
        return outcomes;
    }

    private static Task<MigrationStatus> AskAsync(Invocation invocation, SiloConnection connection, string id) =>
        connection.CallAsync(grains => grains.GetGrain<IMigrationGrain>(id).Resume(), invocation.Cancellation);

    /// <summary>One that has ended meanwhile, or whose host is down, does not keep the others from going on.</summary>
    private static async Task<int> TryAskAsync(Invocation invocation, SiloConnection connection, string id)
    {
        try
        {
            await AskAsync(invocation, connection, id);
            return ExitCode.Ok;
        }
        catch (MigrationException e)
        {
            invocation.Terminal.Fail($"{id}: {e.Message}", FailureHints.Of(e.Reason));
            return ExitCodes.OfReceived(e.Reason);
        }
    }
}

using DistMigrate.Client.Connection;
using DistMigrate.Client.Output;
using DistMigrate.Client.Watching;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary>Submits migrations, waits for them, and tells how they ended.</summary>
internal sealed class MigrationRun(Invocation invocation, SiloConnection connection)
{
    /// <summary>How long a resumed migration may still look as if nobody had asked.</summary>
    private static readonly TimeSpan ResumePatience = TimeSpan.FromSeconds(5);

    private Terminal Terminal => invocation.Terminal;

    /// <summary>Submits a migration.</summary>
    /// <exception cref="MigrationException">The host refused it.</exception>
    public async Task<MigrationSpec> SubmitAsync(string host, MigrationRequest request)
    {
        var id = MigrationIds.Next(invocation.Time);
        try
        {
            return await connection.CallAsync(
                grains => grains.GetGrain<IHostGrain>(host).Submit(request, id), invocation.Cancellation);
        }
        catch (OperationCanceledException) when (invocation.Cancellation.IsCancellationRequested)
        {
            throw new CommandException(
                ExitCode.Detached,
                "interrupted while the migration was being submitted; it may have started.",
                $"'distmigrate status {id}' tells, 'distmigrate cancel {id}' stops it");
        }
        catch (CommandException e) when (e.ExitCode == ExitCode.Unreachable)
        {
            Terminal.Say($"the migration may have been submitted all the same: 'distmigrate status {id}' tells once a silo answers");
            throw;
        }
    }

    /// <summary>Submits a migration and waits for it, or only shows that it was submitted.</summary>
    public async Task<int> StartAsync(string host, MigrationRequest request, bool detach, TimeSpan? timeout)
    {
        var spec = await SubmitAsync(host, request);
        if (!detach)
            return await FollowAsync(spec.Id, timeout);
        if (Terminal.Format == OutputFormat.Json)
            Terminal.Show(await StatusAsync(spec.Id), invocation.Time);
        else
            Terminal.Data(spec.Id);
        Terminal.Say($"'distmigrate watch {spec.Id}' shows it, 'distmigrate cancel {spec.Id}' stops it");
        return ExitCode.Ok;
    }

    /// <summary>Waits for a migration, shows the outcome, and gives the exit code.</summary>
    /// <param name="id">The migration.</param>
    /// <param name="timeout">How long to wait; null for ever.</param>
    /// <param name="wasResumed">Whether it was just asked to go on.</param>
    public async Task<int> FollowAsync(string id, TimeSpan? timeout, bool wasResumed = false)
    {
        using var limit = new CancellationTokenSource(timeout ?? Timeout.InfiniteTimeSpan, invocation.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(invocation.Cancellation, limit.Token);
        try
        {
            var status = await WaitAsync(id, either.Token, wasResumed);
            Terminal.Show(status, invocation.Time);
            return Conclude(status);
        }
        catch (OperationCanceledException) when (either.IsCancellationRequested)
        {
            return SayLeft(id);
        }
    }

    /// <summary>Says that a migration is not waited for any longer, and gives the exit code.</summary>
    public int SayLeft(string id)
    {
        var isInterrupt = invocation.Cancellation.IsCancellationRequested;
        Terminal.Say(isInterrupt ? $"detached; migration {id} goes on" : $"the time limit has passed; migration {id} goes on");
        Terminal.Say($"'distmigrate watch {id}' shows it, 'distmigrate cancel {id}' stops it");
        return isInterrupt ? ExitCode.Detached : ExitCode.TimedOut;
    }

    /// <summary>Waits for a migration with progress on standard error.</summary>
    public Task<MigrationStatus> WaitAsync(string id, CancellationToken cancellation, bool wasResumed = false)
    {
        IProgressView view = Terminal.Error.Profile.Capabilities.Interactive
            ? new LiveProgress(Terminal, invocation.Time)
            : new LineProgress(Terminal, invocation.Time);
        return new MigrationWatch(connection, invocation.Time).RunAsync(id, view, wasResumed ? ResumePatience : TimeSpan.Zero, cancellation);
    }

    /// <summary>The migration as it is now.</summary>
    /// <exception cref="MigrationException">No such migration.</exception>
    public Task<MigrationStatus> StatusAsync(string id) =>
        connection.CallAsync(grains => grains.GetGrain<IMigrationGrain>(id).GetStatus(), invocation.Cancellation);

    /// <summary>Says what the operator should know about the outcome, and gives the exit code.</summary>
    public int Conclude(MigrationStatus status)
    {
        foreach (var note in status.Notes)
            Terminal.Note(note);
        switch (status.Phase)
        {
            case MigrationPhase.Failed:
                Terminal.Fail(MessageOr(status, "the migration failed."), FailureHints.Of(status.Reason));
                break;
            case MigrationPhase.NeedsAttention:
                Terminal.Fail(MessageOr(status, "nobody can tell who runs the guest; it stays paused."));
                break;
            case MigrationPhase.Paused:
                Terminal.Warn(MessageOr(status, "the migration is paused; the work done is kept."));
                break;
            default:
                break;
        }
        return ExitCodes.Of(status);
    }

    private static string MessageOr(MigrationStatus status, string otherwise) => status.Message.Length > 0 ? status.Message : otherwise;
}
